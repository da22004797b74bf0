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
    from modelexport.hierarchy.choices import EvidenceKind, FoldMode, Inject, TagStyle, TorchNN
    from modelexport.hierarchy.export_config import ExportConfig, InputSpec
    from modelexport.hierarchy.record import Record, read_record
    from modelexport.hierarchy.tags import TagRules
    from modelexport.pipeline.batch import load_plan, run_plan
    from modelexport.pipeline.diagnosing import Diagnosis, diagnose
    from modelexport.pipeline.exporting import ExportResult, export
    from modelexport.rewriter import (
        Analysis,
        AnnotateReport,
        Candidate,
        Comparison,
        Decision,
        Deviation,
        Fault,
        FileFacts,
        FoldReport,
        ModuleChange,
        ModuleRow,
        Numeric,
        NumericComparison,
        Prototype,
        Status,
        StripResult,
        Unaligned,
        UnfoldReport,
        Unresolved,
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
            "hierarchy.choices": ["EvidenceKind", "FoldMode", "Inject", "TagStyle", "TorchNN"],
            "hierarchy.export_config": ["ExportConfig", "InputSpec"],
            "hierarchy.record": ["Record", "read_record"],
            "hierarchy.tags": ["TagRules"],
            "pipeline.batch": ["load_plan", "run_plan"],
            "pipeline.diagnosing": ["Diagnosis", "diagnose"],
            "pipeline.exporting": ["ExportResult", "export"],
            "rewriter": [
                *("Analysis", "AnnotateReport", "Candidate", "Comparison", "Decision"),
                *("Deviation", "Fault", "FileFacts", "FoldReport", "ModuleChange"),
                *("ModuleRow", "Numeric", "NumericComparison", "Prototype", "Status"),
                *("StripResult", "Unaligned", "UnfoldReport", "Unresolved", "Validation"),
                *("analyze", "annotate", "compare", "find_decisions", "strip", "unfold"),
                "validate",
            ],
            "tracer.sources.loading": ["load"],
            "tracer.tracing": ["RecordResult", "TraceResult", "record", "trace"],
        },
    )

__all__ = [
    "Analysis",
    "AnnotateOptions",
    "AnnotateReport",
    "Candidate",
    "Comparison",
    "Decision",
    "Deviation",
    "Diagnosis",
    "EvidenceKind",
    "ExportConfig",
    "ExportFailedError",
    "ExportResult",
    "Fault",
    "FileFacts",
    "FileProblem",
    "FoldMode",
    "FoldReport",
    "FoldRules",
    "ForeignRecordError",
    "Inject",
    "InputSpec",
    "InputsError",
    "MatchOptions",
    "MissingExtraError",
    "ModelExportError",
    "ModuleChange",
    "ModuleRow",
    "Numeric",
    "NumericComparison",
    "OnnxFileError",
    "PlanError",
    "Prototype",
    "Record",
    "RecordError",
    "RecordResult",
    "RuntimeFailedError",
    "SettingsError",
    "SourceError",
    "Status",
    "StripResult",
    "SurgeryError",
    "TagRules",
    "TagStyle",
    "TorchNN",
    "TraceResult",
    "Unaligned",
    "UnfoldReport",
    "Unresolved",
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
