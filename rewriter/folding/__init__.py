"""Folding: calls of modules become calls of ONNX functions; and back."""

from typing import TYPE_CHECKING

from modelexport.support.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from modelexport.rewriter.folding.flattening import unfolded
    from modelexport.rewriter.folding.folding import FoldReport, Prototype, fold
    from modelexport.rewriter.folding.unfolding import UnfoldReport, unfold
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "flattening": ["unfolded"],
            "folding": ["FoldReport", "Prototype", "fold"],
            "unfolding": ["UnfoldReport", "unfold"],
        },
    )

__all__ = ["FoldReport", "Prototype", "UnfoldReport", "fold", "unfold", "unfolded"]
