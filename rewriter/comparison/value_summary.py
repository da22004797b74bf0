"""What is kept of a value while values are paired: its shape, and a sketch of its elements."""

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
        return int(np.prod(self.shape, dtype=np.int64))

    def distance(self, other: "ValueSummary") -> float:
        """An estimate of the distance of two values; infinite when their sizes differ.

        See `thresholds`. Elements that are infinite or no number in one of them are left out.
        """
        if self.sketch.size != other.sketch.size or self.size != other.size:
            return float("inf")
        finite = np.isfinite(self.sketch) & np.isfinite(other.sketch)
        left, right = self.sketch[finite], other.sketch[finite]
        norm = float(np.linalg.norm(left))
        error = float(np.linalg.norm(right - left))
        return error / norm if norm else (float("inf") if error else 0.0)


def _norm(flat: Array) -> float:
    numbers = flat.astype(np.float64)
    if not np.isfinite(numbers).all():
        numbers = numbers[np.isfinite(numbers)]
    return float(np.linalg.norm(numbers))
