"""ONNX and a trace record in, annotated ONNX out; and everything that reads it. Never torch."""

from typing import TYPE_CHECKING

from hierarchy.lazily import lazily

if TYPE_CHECKING:
    from rewriter.analysis import Analysis, Unresolved, analyze
    from rewriter.annotating import annotate
    from rewriter.comparing import (
        Comparison,
        Deviation,
        FileFacts,
        ModuleChange,
        Numeric,
        NumericComparison,
        Status,
        Unaligned,
    )
    from rewriter.comparison import compare
    from rewriter.consistency import Fault
    from rewriter.explaining import explained
    from rewriter.folding import FoldReport, FoldRules, Prototype, UnfoldReport
    from rewriter.looking import Matching
    from rewriter.matcher import Candidate, Decision
    from rewriter.report import AnnotateReport
    from rewriter.rows import ModuleRow
    from rewriter.stripping import StripResult, strip, unfold
    from rewriter.validating import Validation
    from rewriter.validation import validate
else:
    __getattr__ = lazily(
        __name__,
        {
            "analysis": ["Analysis", "Unresolved", "analyze"],
            "rows": ["ModuleRow"],
            "annotating": ["annotate"],
            "comparing": [
                *("Comparison", "Deviation", "FileFacts", "ModuleChange", "Numeric"),
                *("NumericComparison", "Status", "Unaligned"),
            ],
            "comparison": ["compare"],
            "consistency": ["Fault"],
            "explaining": ["explained"],
            "folding": ["FoldReport", "FoldRules", "Prototype", "UnfoldReport"],
            "looking": ["Matching"],
            "matcher": ["Candidate", "Decision"],
            "report": ["AnnotateReport"],
            "stripping": ["StripResult", "strip", "unfold"],
            "validating": ["Validation"],
            "validation": ["validate"],
        },
    )

__all__ = [
    "Analysis",
    "AnnotateReport",
    "Candidate",
    "Comparison",
    "Decision",
    "Deviation",
    "Fault",
    "FileFacts",
    "FoldReport",
    "FoldRules",
    "Matching",
    "ModuleChange",
    "ModuleRow",
    "Numeric",
    "NumericComparison",
    "Prototype",
    "Status",
    "StripResult",
    "Unaligned",
    "UnfoldReport",
    "Unresolved",
    "Validation",
    "analyze",
    "annotate",
    "compare",
    "explained",
    "strip",
    "unfold",
    "validate",
]
