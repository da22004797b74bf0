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
    from modelexport.hierarchy.choices import (
        EvidenceKind,
        Exporter,
        FoldMode,
        Inject,
        MatchEvidence,
        TagStyle,
        TorchNN,
    )
    from modelexport.hierarchy.export_config import (
        ExportConfig,
        InputSpec,
        TraceOptions,
        read_export_config,
    )
    from modelexport.hierarchy.profile_options import (
        ImportedProfile,
        ProfileFiles,
        ProfileOptions,
    )
    from modelexport.hierarchy.record import Record, read_record
    from modelexport.hierarchy.tags import TagRules
    from modelexport.hierarchy.trace_summary import TracePlan, TraceSummary
    from modelexport.pipeline.batch import load_plan, run_plan
    from modelexport.pipeline.diagnosing import Diagnosis, diagnose
    from modelexport.pipeline.exporting import ExportResult, export
    from modelexport.pipeline.source_tracing import plan_source, trace_source
    from modelexport.rewriter import (
        Analysis,
        AnnotateReport,
        BoundaryTensor,
        Candidate,
        Comparison,
        Decision,
        Deviation,
        Extraction,
        Fault,
        FileFacts,
        FoldReport,
        ModuleChange,
        ModuleRow,
        ModuleTime,
        ModuleTimes,
        NodeTime,
        Numeric,
        NumericComparison,
        Profile,
        ProfileComparison,
        Prototype,
        SelectedNode,
        Selection,
        Status,
        StripResult,
        Unaligned,
        UnfoldReport,
        UnresolvedNode,
        Validation,
        analyze,
        annotate,
        compare,
        compare_profiles,
        extract,
        find_decisions,
        profile,
        report,
        select_nodes,
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
            "hierarchy.choices": [
                *("EvidenceKind", "Exporter", "FoldMode", "Inject", "MatchEvidence", "TagStyle"),
                "TorchNN",
            ],
            "hierarchy.export_config": [
                *("ExportConfig", "InputSpec", "TraceOptions", "read_export_config"),
            ],
            "hierarchy.profile_options": ["ImportedProfile", "ProfileFiles", "ProfileOptions"],
            "hierarchy.record": ["Record", "read_record"],
            "hierarchy.tags": ["TagRules"],
            "hierarchy.trace_summary": ["TracePlan", "TraceSummary"],
            "pipeline.batch": ["load_plan", "run_plan"],
            "pipeline.diagnosing": ["Diagnosis", "diagnose"],
            "pipeline.exporting": ["ExportResult", "export"],
            "pipeline.source_tracing": ["plan_source", "trace_source"],
            "rewriter": [
                *("Analysis", "AnnotateReport", "Candidate", "Comparison", "Decision"),
                *("Deviation", "Fault", "FileFacts", "FoldReport", "ModuleChange"),
                *("ModuleRow", "Numeric", "NumericComparison", "Prototype"),
                *("BoundaryTensor", "Extraction", "extract"),
                *("SelectedNode", "Selection", "Status", "report", "select_nodes"),
                *("StripResult", "Unaligned", "UnfoldReport", "UnresolvedNode", "Validation"),
                *("analyze", "annotate", "compare", "find_decisions", "strip", "unfold"),
                *("ModuleTime", "ModuleTimes", "NodeTime", "Profile", "ProfileComparison"),
                *("compare_profiles", "profile", "validate"),
            ],
            "tracer.sources.loading": ["load"],
            "tracer.tracing": ["RecordResult", "TraceResult", "record", "trace"],
        },
    )

__all__ = [
    "Analysis",
    "AnnotateOptions",
    "AnnotateReport",
    "BoundaryTensor",
    "Candidate",
    "Comparison",
    "Decision",
    "Deviation",
    "Diagnosis",
    "EvidenceKind",
    "ExportConfig",
    "ExportFailedError",
    "ExportResult",
    "Exporter",
    "Extraction",
    "Fault",
    "FileFacts",
    "FileProblem",
    "FoldMode",
    "FoldReport",
    "FoldRules",
    "ForeignRecordError",
    "ImportedProfile",
    "Inject",
    "InputSpec",
    "InputsError",
    "MatchEvidence",
    "MatchOptions",
    "MissingExtraError",
    "ModelExportError",
    "ModuleChange",
    "ModuleRow",
    "ModuleTime",
    "ModuleTimes",
    "NodeTime",
    "Numeric",
    "NumericComparison",
    "OnnxFileError",
    "PlanError",
    "Profile",
    "ProfileComparison",
    "ProfileFiles",
    "ProfileOptions",
    "Prototype",
    "Record",
    "RecordError",
    "RecordResult",
    "RuntimeFailedError",
    "SelectedNode",
    "Selection",
    "SettingsError",
    "SourceError",
    "Status",
    "StripResult",
    "SurgeryError",
    "TagRules",
    "TagStyle",
    "TorchNN",
    "TraceOptions",
    "TracePlan",
    "TraceResult",
    "TraceSummary",
    "Unaligned",
    "UnfoldReport",
    "UnresolvedNode",
    "UsageError",
    "Validation",
    "analyze",
    "annotate",
    "compare",
    "compare_profiles",
    "diagnose",
    "export",
    "extract",
    "find_decisions",
    "load",
    "load_plan",
    "plan_source",
    "profile",
    "read_export_config",
    "read_record",
    "record",
    "report",
    "run_plan",
    "select_nodes",
    "strip",
    "trace",
    "trace_source",
    "unfold",
    "validate",
]
