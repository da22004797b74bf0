"""Which value of a model a value of a file is: the one that is much nearer than the others."""

from collections import defaultdict
from collections.abc import Mapping

from modelexport.rewriter.comparison.thresholds import (
    AGREEMENT_DISTANCE,
    OTHER_VALUE_RATIO,
    SAME_VALUE_DISTANCE,
)
from modelexport.rewriter.comparison.value_summary import SummaryTable, ValueSummary

_BLOCKED_DOMAIN, _PLAIN_OPERATOR = "com.microsoft.nchwc", "ReorderOutput"
"""Operators of onnxruntime that compute on blocks of channels, and the one that undoes that."""


class ValueSketches:
    """Sketches of the values that modules read and return.

    A fused node has one result, that of the last of its modules. It must not be taken for what the
    others return.

    Args:
        summaries: The summaries of the values, by their names.
    """

    def __init__(self, summaries: Mapping[str, ValueSummary]) -> None:
        by_size: dict[int, dict[str, ValueSummary]] = defaultdict(dict)
        for name, summary in summaries.items():
            by_size[summary.size][name] = summary
        self._tables = {size: SummaryTable(group) for size, group in by_size.items()}

    def is_other(self, name: str, value: ValueSummary) -> bool:
        """Whether a value of the file is another one: this is far from it, another much nearer.

        Args:
            name: Name of the value that it would be.
            value: Summary of the value of the file.
        """
        distances = self._distances(value)
        return name in distances and is_further(distances[name], min(distances.values()))

    def is_nearest(self, name: str, value: ValueSummary) -> bool:
        """Whether no other value is near to a value of the file, and nearer; see `is_other`.

        A value that rounding has destroyed is near to none.
        """
        distances = self._distances(value)
        nearest = min(distances.values(), default=0.0)
        return nearest >= SAME_VALUE_DISTANCE or distances.get(name, 0.0) <= nearest

    def _distances(self, value: ValueSummary) -> dict[str, float]:
        table = self._tables.get(value.size)
        return {} if table is None else table.distances(value)


def is_blocked(op_type: str | None) -> bool:
    """Whether an operator computes a value whose channels onnxruntime laid out in blocks.

    Such a value has the shape of the plain one, and its elements in another order.
    """
    return op_type is not None and (
        op_type.startswith(_BLOCKED_DOMAIN) and not op_type.endswith(_PLAIN_OPERATOR)
    )


def is_further(distance: float, nearest: float) -> bool:
    """Whether a value is too far from another one to be the same, as a third one is nearer.

    Args:
        distance: Its distance from the other value.
        nearest: That of the nearest one.
    """
    return distance > max(AGREEMENT_DISTANCE, OTHER_VALUE_RATIO * nearest)
