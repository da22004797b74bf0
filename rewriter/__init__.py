"""ONNX and a trace record in, annotated ONNX out; and everything that reads it. Never torch."""

from typing import TYPE_CHECKING

from hierarchy.lazily import lazily

if TYPE_CHECKING:
    from rewriter.analysis import Analysis, ModuleRow, analyze
    from rewriter.annotating import annotate
    from rewriter.consistency import Fault
    from rewriter.explaining import explained
    from rewriter.folding import FoldReport, FoldRules, Prototype, UnfoldReport
    from rewriter.looking import Matching
    from rewriter.matcher import Candidate, Decision
    from rewriter.report import AnnotateReport
    from rewriter.stripping import strip, unfold
    from rewriter.validation import Validation, validate
else:
    __getattr__ = lazily(
        __name__,
        {
            "analysis": ["Analysis", "ModuleRow", "analyze"],
            "annotating": ["annotate"],
            "consistency": ["Fault"],
            "explaining": ["explained"],
            "folding": ["FoldReport", "FoldRules", "Prototype", "UnfoldReport"],
            "looking": ["Matching"],
            "matcher": ["Candidate", "Decision"],
            "report": ["AnnotateReport"],
            "stripping": ["strip", "unfold"],
            "validation": ["Validation", "validate"],
        },
    )

__all__ = [
    "Analysis",
    "AnnotateReport",
    "Candidate",
    "Decision",
    "Fault",
    "FoldReport",
    "FoldRules",
    "Matching",
    "ModuleRow",
    "Prototype",
    "UnfoldReport",
    "Validation",
    "analyze",
    "annotate",
    "explained",
    "strip",
    "unfold",
    "validate",
]
