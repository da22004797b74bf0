"""What is kept of a value while values are paired: its shape, and a sketch of its elements."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from modelexport.hierarchy.fingerprints import Array
from modelexport.rewriter.comparison.thresholds import SKETCH_SIZE


@dataclass(frozen=True, eq=False)
class ValueSummary:
    """A summary of a value.

    Attributes:
        shape: Its shape.
        bytes: Bytes that it takes in memory.
        is_real: Whether its elements are real numbers.
        sketch: Some of its elements (float64), at the same places in all arrays of one size;
            empty when they are strings.
        norm: Norm of its finite elements, which their order does not change; 0 for strings.
    """

    shape: tuple[int, ...]
    bytes: int
    is_real: bool
    sketch: Array
    norm: float = 0.0

    @classmethod
    def of(cls, array: Array) -> "ValueSummary":
        """Summarise an array."""
        flat = array.reshape(-1)
        stride = max(1, flat.size // SKETCH_SIZE)
        sketch = flat[::stride].astype(np.float64) if flat.dtype != object else np.zeros(0)
        norm = _norm(flat) if flat.dtype != object else 0.0
        return cls(array.shape, array.nbytes, array.dtype.kind == "f", sketch, norm)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def distance(self, other: "ValueSummary") -> float:
        """An estimate of the distance of two values; infinite when their sizes differ.

        See `thresholds`. Elements that are infinite or no number in one of them are left out.
        """
        if self.size != other.size:
            return float("inf")
        return SummaryTable({"": other}).distances(self).get("", float("inf"))


class SummaryTable:
    """Summaries of values of one size, to be compared with another one all at once.

    Args:
        summaries: The summaries, by the names of the values.

    Attributes:
        names: The names.
    """

    def __init__(self, summaries: Mapping[str, ValueSummary]) -> None:
        self.names = summaries.keys()
        self._norms = np.array([summary.norm for summary in summaries.values()])
        self._sketches: dict[int, tuple[list[str], Array]] = {}
        lengths = sorted({summary.sketch.size for summary in summaries.values()})
        for length in lengths:  # sketches of strings are empty
            names = [n for n, summary in summaries.items() if summary.sketch.size == length]
            self._sketches[length] = names, np.stack([summaries[n].sketch for n in names])

    def distances(self, summary: ValueSummary) -> dict[str, float]:
        """Estimates of the distances of values of this size; those without one are left out."""
        names, sketches = self._sketches.get(summary.sketch.size, ([], np.zeros((0, 0))))
        finite = np.isfinite(summary.sketch) & np.isfinite(sketches)
        left = np.where(finite, summary.sketch, 0.0)
        norms = np.linalg.norm(left, axis=1)
        errors = np.linalg.norm(np.where(finite, sketches, 0.0) - left, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(norms > 0, errors / norms, np.where(errors > 0, np.inf, 0.0))
        return dict(zip(names, ratios.tolist(), strict=True))

    def with_norm(self, norm: float, slack: float) -> list[str]:
        """Names of the values with a norm: up to a slack, which is a share of the larger norm."""
        is_near = np.abs(self._norms - norm) <= slack * np.maximum(self._norms, norm)
        return [name for name, near in zip(self.names, is_near, strict=True) if near]


def _norm(flat: Array) -> float:
    numbers = flat.astype(np.float64)
    if not np.isfinite(numbers).all():
        numbers = numbers[np.isfinite(numbers)]
    return float(np.linalg.norm(numbers))
