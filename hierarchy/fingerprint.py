"""Small summaries of tensors by which they are recognised in another file.

Two kinds, both blind to the order of elements, so that transposing or reshaping changes
nothing:

- a *value* (an intermediate tensor on the probe inputs) keeps its quantiles and the counts
  of what is not finite; a tensor with no more elements than quantiles is kept whole, sorted;
- a *weight* keeps power sums. They cost one pass over hundreds of megabytes, add up when
  tensors are split or merged, and hardly move when numbers are rounded to fewer bits.
"""

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

QUANTILES = 24
_CHUNK = 1 << 16
"""Elements summed at a time: few enough to stay in cache, and exact enough in single precision."""

Array = npt.NDArray[Any]


class ValueFingerprint(msgspec.Struct, frozen=True, omit_defaults=True):
    """Summary of an intermediate value.

    Attributes:
        shape: Of the tensor on the probe inputs.
        kind: numpy's kind letter: f, i, u or b.
        quantiles: Little-endian float32: `QUANTILES` order statistics of the finite elements,
            evenly spaced from the least to the greatest, or all of them when fewer.
        negative_infinite, positive_infinite, nan: Counts.
    """

    shape: tuple[int, ...]
    kind: str
    quantiles: bytes
    negative_infinite: int = 0
    positive_infinite: int = 0
    nan: int = 0

    def statistics(self) -> npt.NDArray[np.float32]:
        """The quantiles as numbers."""
        return np.frombuffer(self.quantiles, "<f4")


class WeightFingerprint(msgspec.Struct, frozen=True, omit_defaults=True):
    """Summary of a weight: element count, extremes and the sums of x, x², x³ and |x|."""

    count: int
    least: float
    greatest: float
    sums: tuple[float, float, float, float]
    nan: int = 0


def value_fingerprint(array: Array) -> ValueFingerprint | None:
    """Summarise an intermediate value; None for what holds no numbers (strings, objects)."""
    if array.dtype.kind not in "fiub":
        return None
    flat = array.reshape(-1)
    nan = below = above = 0
    if array.dtype.kind == "f":
        finite = np.isfinite(flat)
        if not finite.all():
            nan = int(np.isnan(flat).sum())
            below, above = int(np.isneginf(flat).sum()), int(np.isposinf(flat).sum())
            flat = flat[finite]
    ordered = np.sort(flat)
    if ordered.size > QUANTILES:
        picks = np.linspace(0, ordered.size - 1, QUANTILES).round().astype(np.int64)
        ordered = ordered[picks]
    with np.errstate(over="ignore"):
        quantiles = ordered.astype("<f4").tobytes()
    return ValueFingerprint(array.shape, array.dtype.kind, quantiles, below, above, nan)


def weight_fingerprint(array: Array) -> WeightFingerprint | None:
    """Summarise a weight; None for what holds no numbers or nothing at all."""
    if array.dtype.kind not in "fiub" or not array.size:
        return None
    flat = np.ascontiguousarray(array).reshape(-1)
    wide = np.float32 if array.dtype.itemsize <= np.dtype(np.float32).itemsize else np.float64
    least, greatest, nan = np.inf, -np.inf, 0
    sums = np.zeros(4)
    for start in range(0, flat.size, _CHUNK):
        part: Array = flat[start : start + _CHUNK].astype(wide, copy=False)
        low, high = float(part.min()), float(part.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            part = part[np.isfinite(part)]
            nan += min(_CHUNK, flat.size - start) - part.size
            if not part.size:
                continue
            low, high = float(part.min()), float(part.max())
        least, greatest = min(least, low), max(greatest, high)
        with np.errstate(over="ignore"):
            square = np.square(part)
            sums += (part.sum(), square.sum(), np.dot(square, part), np.abs(part).sum())
    if nan == flat.size:
        return None
    total, squares, cubes, absolute = (float(s) if np.isfinite(s) else 0.0 for s in sums)
    return WeightFingerprint(flat.size, least, greatest, (total, squares, cubes, absolute), nan)
