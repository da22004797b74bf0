"""ONNX and a trace record in, annotated ONNX out; and everything that reads it. Never torch."""

from typing import TYPE_CHECKING

from modelexport.support.lazy_exports import lazily

if TYPE_CHECKING:
    from modelexport.rewriter.analysis.analyzing import Analysis, Unresolved, analyze
    from modelexport.rewriter.analysis.totals import ModuleRow
    from modelexport.rewriter.annotation.annotating import annotate
    from modelexport.rewriter.annotation.report import AnnotateReport
    from modelexport.rewriter.annotation.stripping import StripResult, strip, unfold
    from modelexport.rewriter.comparison import (
        Comparison,
        Deviation,
        FileFacts,
        ModuleChange,
        Numeric,
        NumericComparison,
        Status,
        Unaligned,
    )
    from modelexport.rewriter.comparison.comparing import compare
    from modelexport.rewriter.folding import FoldReport, FoldRules, Prototype, UnfoldReport
    from modelexport.rewriter.matching.explaining import explained
    from modelexport.rewriter.matching.matcher import Candidate, Decision
    from modelexport.rewriter.matching.options import Matching
    from modelexport.rewriter.validation import Validation
    from modelexport.rewriter.validation.consistency import Fault
    from modelexport.rewriter.validation.validating import validate
else:
    __getattr__ = lazily(
        __name__,
        {
            "analysis.analyzing": ["Analysis", "Unresolved", "analyze"],
            "analysis.totals": ["ModuleRow"],
            "annotation.annotating": ["annotate"],
            "comparison": [
                *("Comparison", "Deviation", "FileFacts", "ModuleChange", "Numeric"),
                *("NumericComparison", "Status", "Unaligned"),
            ],
            "comparison.comparing": ["compare"],
            "validation.consistency": ["Fault"],
            "matching.explaining": ["explained"],
            "folding": ["FoldReport", "FoldRules", "Prototype", "UnfoldReport"],
            "matching.options": ["Matching"],
            "matching.matcher": ["Candidate", "Decision"],
            "annotation.report": ["AnnotateReport"],
            "annotation.stripping": ["StripResult", "strip", "unfold"],
            "validation": ["Validation"],
            "validation.validating": ["validate"],
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
