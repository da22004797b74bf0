"""Folding: calls of modules become calls of ONNX functions; and unfolding.

- `fold_model` has the steps of folding, `make_functions` the functions;
- `shared_structure` says which calls share a function;
- `function_inputs` says what becomes an input of a function, and what a constant inside it;
- `unfold_model` has the steps of unfolding;
- `restore_flat_graph` brings the flat graph back, with the help of `flat_snapshot`.
"""

from typing import TYPE_CHECKING

from modelexport.support.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from modelexport.rewriter.folding.fold_model import fold
    from modelexport.rewriter.folding.fold_report import FoldReport, Prototype
    from modelexport.rewriter.folding.function_notes import folded_functions
    from modelexport.rewriter.folding.read_as_flat import unfolded
    from modelexport.rewriter.folding.unfold_model import UnfoldReport, unfold
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "fold_model": ["fold"],
            "fold_report": ["FoldReport", "Prototype"],
            "function_notes": ["folded_functions"],
            "read_as_flat": ["unfolded"],
            "unfold_model": ["UnfoldReport", "unfold"],
        },
    )

__all__ = [
    "FoldReport",
    "Prototype",
    "UnfoldReport",
    "fold",
    "folded_functions",
    "unfold",
    "unfolded",
]
