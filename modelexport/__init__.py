"""Hierarchy-preserving ONNX: every node of any ONNX file knows the PyTorch module it came from.

    from modelexport import annotate, trace

    trace(model, example_inputs, "net.onnx")
    annotate("optimised.onnx", "net.trace.json", "annotated.onnx")

This package is the public API; its rooms (`modelexport.rewriter`, `modelexport.tracer` …) are
folders of their own. Every name loads its module when it is first asked for: neither torch nor
onnxruntime is imported before something needs it.
"""

from typing import TYPE_CHECKING

from modelexport.support.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from modelexport.errors import (
        ExportFailedError,
        FileProblem,
        ForeignRecordError,
        InputsError,
        MissingExtraError,
        ModelExportError,
        OnnxFileError,
        PlanError,
        RecordError,
        RuntimeFailedError,
        SettingsError,
        SourceError,
        SurgeryError,
        UsageError,
    )
    from modelexport.hierarchy.annotate_options import AnnotateOptions, FoldRules, MatchOptions
    from modelexport.hierarchy.choices import Inject, TagStyle, TorchNN
    from modelexport.hierarchy.record import Record, read_record
    from modelexport.hierarchy.tags import TagRules
    from modelexport.pipeline.batch import load_plan, run_plan
    from modelexport.pipeline.diagnosing import Diagnosis, diagnose
    from modelexport.pipeline.exporting import ExportResult, export
    from modelexport.rewriter import (
        Analysis,
        AnnotateReport,
        Comparison,
        StripResult,
        Validation,
        analyze,
        annotate,
        compare,
        find_decisions,
        strip,
        unfold,
        validate,
    )
    from modelexport.tracer.sources.loading import load
    from modelexport.tracer.tracing import RecordResult, TraceResult, record, trace
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "errors": [
                *("ExportFailedError", "FileProblem", "ForeignRecordError", "InputsError"),
                *("MissingExtraError", "ModelExportError", "OnnxFileError", "PlanError"),
                *("RecordError", "RuntimeFailedError", "SettingsError", "SourceError"),
                *("SurgeryError", "UsageError"),
            ],
            "hierarchy.annotate_options": ["AnnotateOptions", "FoldRules", "MatchOptions"],
            "hierarchy.choices": ["Inject", "TagStyle", "TorchNN"],
            "hierarchy.record": ["Record", "read_record"],
            "hierarchy.tags": ["TagRules"],
            "pipeline.batch": ["load_plan", "run_plan"],
            "pipeline.diagnosing": ["Diagnosis", "diagnose"],
            "pipeline.exporting": ["ExportResult", "export"],
            "rewriter": [
                *("Analysis", "AnnotateReport", "Comparison", "StripResult"),
                *("Validation", "analyze", "annotate", "compare", "find_decisions"),
                *("strip", "unfold", "validate"),
            ],
            "tracer.sources.loading": ["load"],
            "tracer.tracing": ["RecordResult", "TraceResult", "record", "trace"],
        },
    )

__all__ = [
    "Analysis",
    "AnnotateOptions",
    "AnnotateReport",
    "Comparison",
    "Diagnosis",
    "ExportFailedError",
    "ExportResult",
    "FileProblem",
    "FoldRules",
    "ForeignRecordError",
    "Inject",
    "InputsError",
    "MatchOptions",
    "MissingExtraError",
    "ModelExportError",
    "OnnxFileError",
    "PlanError",
    "Record",
    "RecordError",
    "RecordResult",
    "RuntimeFailedError",
    "SettingsError",
    "SourceError",
    "StripResult",
    "SurgeryError",
    "TagRules",
    "TagStyle",
    "TorchNN",
    "TraceResult",
    "UsageError",
    "Validation",
    "analyze",
    "annotate",
    "compare",
    "diagnose",
    "export",
    "find_decisions",
    "load",
    "load_plan",
    "read_record",
    "record",
    "run_plan",
    "strip",
    "trace",
    "unfold",
    "validate",
]
