"""What needs both tracing and annotating: from a model's source to files, in one step."""

from typing import TYPE_CHECKING

from modelexport.support.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from modelexport.pipeline.diagnosing import Diagnosis, PackageState, diagnose
    from modelexport.pipeline.exporting import ExportResult, export
    from modelexport.pipeline.parts.trace_parts import (
        PartsPlan,
        PartsResult,
        plan_parts,
        trace_parts,
    )
    from modelexport.pipeline.source_tracing import plan_source, trace_source
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "diagnosing": ["Diagnosis", "PackageState", "diagnose"],
            "exporting": ["ExportResult", "export"],
            "parts.trace_parts": ["PartsPlan", "PartsResult", "plan_parts", "trace_parts"],
            "source_tracing": ["plan_source", "trace_source"],
        },
    )

__all__ = [
    "Diagnosis",
    "ExportResult",
    "PackageState",
    "PartsPlan",
    "PartsResult",
    "diagnose",
    "export",
    "plan_parts",
    "plan_source",
    "trace_parts",
    "trace_source",
]
