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
        NoSuchModuleError,
        OnnxFileError,
        PlanError,
        RecordError,
        RunLimitError,
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
    from modelexport.hierarchy.place_options import PlaceOptions
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
    from modelexport.pipeline.parts.compare_parts import compare_source_parts
    from modelexport.pipeline.parts.trace_parts import (
        PartsPlan,
        PartsResult,
        plan_parts,
        trace_parts,
    )
    from modelexport.pipeline.source_comparison import compare_source
    from modelexport.pipeline.source_tracing import plan_source, trace_source
    from modelexport.rewriter import (
        Analysis,
        AnnotateReport,
        BoundaryTensor,
        Candidate,
        ChangedWeight,
        Comparison,
        Decision,
        Deviation,
        Extraction,
        Fault,
        FileFacts,
        FoldReport,
        ModelComparison,
        ModuleChange,
        ModuleComparison,
        ModuleError,
        ModuleGraph,
        ModuleRow,
        ModuleTime,
        ModuleTimes,
        NodeTime,
        Numeric,
        NumericComparison,
        PartsProfile,
        Profile,
        ProfileComparison,
        Prototype,
        SelectedNode,
        Selection,
        Split,
        SplitPart,
        Status,
        StripResult,
        SuggestedModule,
        Suggestion,
        Unaligned,
        UnfoldReport,
        UnresolvedNode,
        Validation,
        ValueStatus,
        analyze,
        annotate,
        compare,
        compare_profiles,
        extract,
        find_decisions,
        open_graph,
        profile,
        report,
        select_nodes,
        split,
        strip,
        sum_profiles,
        unfold,
        validate,
    )
    from modelexport.tracer.recording import RecordResult, record
    from modelexport.tracer.sources.loading import load
    from modelexport.tracer.tracing import TraceResult, trace
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "errors": [
                *("ExportFailedError", "FileProblem", "ForeignRecordError", "InputsError"),
                *("MissingExtraError", "ModelExportError", "NoSuchModuleError", "OnnxFileError"),
                *("PlanError", "RecordError", "RunLimitError", "RuntimeFailedError"),
                *("SettingsError", "SourceError", "SurgeryError", "UsageError"),
            ],
            "hierarchy.annotate_options": ["AnnotateOptions", "FoldRules", "MatchOptions"],
            "hierarchy.choices": [
                *("EvidenceKind", "Exporter", "FoldMode", "Inject", "MatchEvidence"),
                *("TagStyle", "TorchNN"),
            ],
            "hierarchy.export_config": [
                *("ExportConfig", "InputSpec", "TraceOptions", "read_export_config"),
            ],
            "hierarchy.place_options": ["PlaceOptions"],
            "hierarchy.profile_options": ["ImportedProfile", "ProfileFiles", "ProfileOptions"],
            "hierarchy.record": ["Record", "read_record"],
            "hierarchy.tags": ["TagRules"],
            "hierarchy.trace_summary": ["TracePlan", "TraceSummary"],
            "pipeline.batch": ["load_plan", "run_plan"],
            "pipeline.diagnosing": ["Diagnosis", "diagnose"],
            "pipeline.exporting": ["ExportResult", "export"],
            "pipeline.parts.compare_parts": ["compare_source_parts"],
            "pipeline.parts.trace_parts": [
                *("PartsPlan", "PartsResult", "plan_parts", "trace_parts"),
            ],
            "pipeline.source_comparison": ["compare_source"],
            "pipeline.source_tracing": ["plan_source", "trace_source"],
            "rewriter": [
                *("Analysis", "AnnotateReport", "BoundaryTensor", "Candidate", "ChangedWeight"),
                *("Comparison", "Decision", "Deviation", "Extraction", "Fault", "FileFacts"),
                *("FoldReport", "ModelComparison", "ModuleChange", "ModuleComparison"),
                *("ModuleError", "ModuleGraph", "ModuleRow", "ModuleTime", "ModuleTimes"),
                *("NodeTime", "Numeric", "NumericComparison", "PartsProfile", "Profile"),
                *("ProfileComparison", "Prototype", "SelectedNode", "Selection", "Split"),
                *("SplitPart", "Status", "StripResult", "SuggestedModule", "Suggestion"),
                *("Unaligned", "UnfoldReport", "UnresolvedNode", "Validation", "ValueStatus"),
                *("analyze", "annotate", "compare", "compare_profiles", "extract"),
                *("find_decisions", "open_graph", "profile", "report", "select_nodes", "split"),
                *("strip", "sum_profiles", "unfold", "validate"),
            ],
            "tracer.sources.loading": ["load"],
            "tracer.recording": ["RecordResult", "record"],
            "tracer.tracing": ["TraceResult", "trace"],
        },
    )


def __dir__() -> list[str]:
    """The public names, also those that are not loaded yet: editors and notebooks offer them."""
    return __all__


__all__ = [
    "Analysis", "AnnotateOptions", "AnnotateReport", "BoundaryTensor", "Candidate", "ChangedWeight",
    "Comparison", "Decision", "Deviation", "Diagnosis", "EvidenceKind", "ExportConfig",
    "ExportFailedError", "ExportResult", "Exporter", "Extraction", "Fault", "FileFacts",
    "FileProblem", "FoldMode", "FoldReport", "FoldRules", "ForeignRecordError", "ImportedProfile",
    "Inject", "InputSpec", "InputsError", "MatchEvidence", "MatchOptions", "MissingExtraError",
    "ModelComparison", "ModelExportError", "ModuleChange", "ModuleComparison", "ModuleError",
    "ModuleGraph", "ModuleRow", "ModuleTime", "ModuleTimes", "NoSuchModuleError", "NodeTime",
    "Numeric", "NumericComparison", "OnnxFileError", "PartsPlan", "PartsProfile", "PartsResult",
    "PlaceOptions", "PlanError", "Profile", "ProfileComparison", "ProfileFiles", "ProfileOptions",
    "Prototype", "Record", "RecordError", "RecordResult", "RunLimitError", "RuntimeFailedError",
    "SelectedNode", "Selection", "SettingsError", "SourceError", "Split", "SplitPart", "Status",
    "StripResult", "SuggestedModule", "Suggestion", "SurgeryError", "TagRules", "TagStyle",
    "TorchNN", "TraceOptions", "TracePlan", "TraceResult", "TraceSummary", "Unaligned",
    "UnfoldReport", "UnresolvedNode", "UsageError", "Validation", "ValueStatus", "analyze",
    "annotate", "compare", "compare_profiles", "compare_source", "compare_source_parts", "diagnose",
    "export", "extract", "find_decisions", "load", "load_plan", "open_graph", "plan_parts",
    "plan_source", "profile", "read_export_config", "read_record", "record", "report", "run_plan",
    "select_nodes", "split", "strip", "sum_profiles", "trace", "trace_parts", "trace_source",
    "unfold", "validate",
]  # fmt: skip
