"""ONNX and a trace record in, annotated ONNX out; and everything that reads it. Never torch."""

from rewriter.analysis import Analysis, ModuleRow, analyze
from rewriter.annotating import annotate
from rewriter.consistency import Fault
from rewriter.folding import FoldReport, FoldRules, Prototype, UnfoldReport
from rewriter.matcher import Decision
from rewriter.report import AnnotateReport
from rewriter.stripping import strip, unfold
from rewriter.validation import Validation, validate

__all__ = [
    "Analysis",
    "AnnotateReport",
    "Decision",
    "Fault",
    "FoldReport",
    "FoldRules",
    "ModuleRow",
    "Prototype",
    "UnfoldReport",
    "Validation",
    "analyze",
    "annotate",
    "strip",
    "unfold",
    "validate",
]
