"""Folding: calls of modules become calls of ONNX functions; and back."""

from rewriter.folding.choosing import FoldRules
from rewriter.folding.folding import FoldReport, Prototype, fold
from rewriter.folding.unfolding import UnfoldReport, unfold, unfolded

__all__ = ["FoldReport", "FoldRules", "Prototype", "UnfoldReport", "fold", "unfold", "unfolded"]
