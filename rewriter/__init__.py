"""ONNX and a trace record in, annotated ONNX out; and everything that reads it. Never torch."""

from typing import TYPE_CHECKING

from modelexport.hierarchy.annotate_options import AnnotateOptions, FoldRules, MatchOptions
from modelexport.support.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from modelexport.rewriter.analysis.analyze_file import analyze
    from modelexport.rewriter.analysis.results import Analysis, ModuleRow, UnresolvedNode
    from modelexport.rewriter.annotation.annotate_file import annotate
    from modelexport.rewriter.annotation.find_decisions import find_decisions
    from modelexport.rewriter.annotation.report import AnnotateReport
    from modelexport.rewriter.annotation.strip_file import StripResult, strip, unfold
    from modelexport.rewriter.comparison.compare_files import compare
    from modelexport.rewriter.comparison.compare_values import Numeric
    from modelexport.rewriter.comparison.parity.compare_run import compare_run
    from modelexport.rewriter.comparison.parity.results import ModelComparison, ModuleComparison
    from modelexport.rewriter.comparison.quantisation.results import (
        ModuleError,
        SuggestedModule,
        Suggestion,
    )
    from modelexport.rewriter.comparison.results import (
        Comparison,
        Deviation,
        FileFacts,
        ModuleChange,
        NumericComparison,
        Status,
        Unaligned,
    )
    from modelexport.rewriter.comparison.value_status import ValueStatus
    from modelexport.rewriter.comparison.weights.results import ChangedWeight
    from modelexport.rewriter.editing.module_graph import ModuleGraph
    from modelexport.rewriter.editing.open_graph import open_graph
    from modelexport.rewriter.extraction.extract_modules import extract
    from modelexport.rewriter.extraction.results import BoundaryTensor, Extraction, Split, SplitPart
    from modelexport.rewriter.extraction.split_file import split
    from modelexport.rewriter.folding import FoldReport, Prototype, UnfoldReport
    from modelexport.rewriter.matching import Candidate, Decision
    from modelexport.rewriter.profiling.compare_profiles import compare_profiles
    from modelexport.rewriter.profiling.profile_file import profile
    from modelexport.rewriter.profiling.results import (
        ModuleTime,
        ModuleTimes,
        NodeTime,
        PartsProfile,
        Profile,
        ProfileComparison,
    )
    from modelexport.rewriter.profiling.sum_profiles import sum_profiles
    from modelexport.rewriter.reporting.write_report import report
    from modelexport.rewriter.selection.results import SelectedNode, Selection
    from modelexport.rewriter.selection.select_nodes import select_nodes
    from modelexport.rewriter.validation.results import Fault, Validation
    from modelexport.rewriter.validation.validate_file import validate
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "analysis.analyze_file": ["analyze"],
            "analysis.results": ["Analysis", "ModuleRow", "UnresolvedNode"],
            "annotation.annotate_file": ["annotate"],
            "comparison.results": [
                *("Comparison", "Deviation", "FileFacts", "ModuleChange"),
                *("NumericComparison", "Status", "Unaligned"),
            ],
            "comparison.compare_values": ["Numeric"],
            "comparison.compare_files": ["compare"],
            "comparison.parity.compare_run": ["compare_run"],
            "comparison.parity.results": ["ModelComparison", "ModuleComparison"],
            "comparison.value_status": ["ValueStatus"],
            "comparison.weights.results": ["ChangedWeight"],
            "comparison.quantisation.results": ["ModuleError", "SuggestedModule", "Suggestion"],
            "annotation.find_decisions": ["find_decisions"],
            "folding": ["FoldReport", "Prototype", "UnfoldReport"],
            "matching.decisions": ["Candidate", "Decision"],
            "annotation.report": ["AnnotateReport"],
            "editing.module_graph": ["ModuleGraph"],
            "editing.open_graph": ["open_graph"],
            "extraction.extract_modules": ["extract"],
            "extraction.results": ["BoundaryTensor", "Extraction", "Split", "SplitPart"],
            "extraction.split_file": ["split"],
            "reporting.write_report": ["report"],
            "selection.results": ["SelectedNode", "Selection"],
            "selection.select_nodes": ["select_nodes"],
            "annotation.strip_file": ["StripResult", "strip", "unfold"],
            "profiling.compare_profiles": ["compare_profiles"],
            "profiling.sum_profiles": ["sum_profiles"],
            "profiling.profile_file": ["profile"],
            "profiling.results": [
                *("ModuleTime", "ModuleTimes", "NodeTime", "PartsProfile", "Profile"),
                "ProfileComparison",
            ],
            "validation.results": ["Fault", "Validation"],
            "validation.validate_file": ["validate"],
        },
    )

__all__ = [
    "Analysis",
    "AnnotateOptions",
    "AnnotateReport",
    "BoundaryTensor",
    "Candidate",
    "ChangedWeight",
    "Comparison",
    "Decision",
    "Deviation",
    "Extraction",
    "Fault",
    "FileFacts",
    "FoldReport",
    "FoldRules",
    "MatchOptions",
    "ModelComparison",
    "ModuleChange",
    "ModuleComparison",
    "ModuleError",
    "ModuleGraph",
    "ModuleRow",
    "ModuleTime",
    "ModuleTimes",
    "NodeTime",
    "Numeric",
    "NumericComparison",
    "PartsProfile",
    "Profile",
    "ProfileComparison",
    "Prototype",
    "SelectedNode",
    "Selection",
    "Split",
    "SplitPart",
    "Status",
    "StripResult",
    "SuggestedModule",
    "Suggestion",
    "Unaligned",
    "UnfoldReport",
    "UnresolvedNode",
    "Validation",
    "ValueStatus",
    "analyze",
    "annotate",
    "compare",
    "compare_profiles",
    "compare_run",
    "extract",
    "find_decisions",
    "open_graph",
    "profile",
    "report",
    "select_nodes",
    "split",
    "strip",
    "sum_profiles",
    "unfold",
    "validate",
]
