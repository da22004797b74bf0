"""Two files of a model, held side by side module by module; and run side by side."""

from modelexport.rewriter.comparison.compare_values import Numeric
from modelexport.rewriter.comparison.results import (
    Comparison,
    Deviation,
    FileFacts,
    ModuleChange,
    NumericComparison,
    Status,
    Unaligned,
)

__all__ = [
    "Comparison",
    "Deviation",
    "FileFacts",
    "ModuleChange",
    "Numeric",
    "NumericComparison",
    "Status",
    "Unaligned",
]
