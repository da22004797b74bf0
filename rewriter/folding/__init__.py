"""Folding: calls of modules become calls of ONNX functions; and back."""

from typing import TYPE_CHECKING

from hierarchy.lazily import lazily

if TYPE_CHECKING:
    from rewriter.folding.choosing import FoldRules
    from rewriter.folding.flattening import unfolded
    from rewriter.folding.folding import FoldReport, Prototype, fold
    from rewriter.folding.unfolding import UnfoldReport, unfold
else:
    __getattr__ = lazily(
        __name__,
        {
            "choosing": ["FoldRules"],
            "flattening": ["unfolded"],
            "folding": ["FoldReport", "Prototype", "fold"],
            "unfolding": ["UnfoldReport", "unfold"],
        },
    )

__all__ = ["FoldReport", "FoldRules", "Prototype", "UnfoldReport", "fold", "unfold", "unfolded"]
