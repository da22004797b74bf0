"""Small summaries of tensors, by which a tensor is found again in another file.

- The fingerprint of a *value* (an intermediate tensor on the probe inputs) holds order
  statistics. They do not depend on the order of the elements, so transposing or reshaping
  changes nothing. It also holds a *sketch* (see `hierarchy.sketches`), which depends on the
  order, and tells how far two tensors of one layout are apart.
- The fingerprint of a *weight* holds sums of powers, which cost one pass over hundreds of
  megabytes. Its sketch tells it from all others of its size, even when it was quantised.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from modelexport.hierarchy.sketches import (
    INFINITY_THRESHOLD,
    Array,
    Sketch,
    arrays_per_batch,
    check_sketch,
    sketch_rows,
    weight_sketch,
)

__all__ = [
    "QUANTILES",
    "Array",
    "ValueFingerprint",
    "WeightFingerprint",
    "is_native",
    "standard_type",
    "value_fingerprint",
    "value_fingerprints",
    "weight_fingerprint",
]

QUANTILES = 16
"""Order statistics in the fingerprint of a value."""

_FLOAT_BYTES = 4

_SUMMED_ELEMENTS = 1 << 16
"""Elements summed at a time: few enough to stay in cache, and exact enough in single precision."""

_NUMBER_KINDS = "fiub"
"""numpy's kind letters of what holds numbers."""

_ADDED_TYPE = 2
"""numpy's `dtype.isbuiltin` of a type that a library added."""

_FEWEST_FOR_THREADS = 1 << 15
"""Elements from which a second thread saves more time than it costs."""


class ValueFingerprint(msgspec.Struct, frozen=True, omit_defaults=True):
    """Summary of an intermediate value.

    Attributes:
        shape: Of the tensor on the probe inputs.
        kind: numpy's kind letter: f, i, u or b.
        quantiles: Little-endian float32: `QUANTILES` order statistics of the finite elements,
            evenly spaced from the least to the greatest, or all of them when fewer.
        sketch: Little-endian float32: `PROJECTIONS` sums of all finite elements, each with a
            random sign, over the square root of their number. Empty when it is not known.
        negative_infinite, positive_infinite, nan: Counts.
    """

    shape: tuple[int, ...]
    kind: str
    quantiles: bytes
    sketch: bytes = b""
    negative_infinite: int = 0
    positive_infinite: int = 0
    nan: int = 0

    def __post_init__(self) -> None:
        if len(self.quantiles) % _FLOAT_BYTES:
            raise ValueError("`quantiles` must be numbers of 4 bytes")
        check_sketch(self.sketch)
        if len(self.quantiles) > QUANTILES * _FLOAT_BYTES:
            raise ValueError(f"`quantiles` must be at most {QUANTILES} numbers")

    @property
    def size(self) -> int:
        """Number of elements."""
        count = 1
        for extent in self.shape:
            count *= extent
        return count

    def statistics(self) -> npt.NDArray[np.float32]:
        """The quantiles as numbers."""
        return np.frombuffer(self.quantiles, "<f4")


class WeightFingerprint(msgspec.Struct, frozen=True, omit_defaults=True):
    """Summary of a weight.

    Attributes:
        count: Number of elements.
        least, greatest: The extremes of the finite elements.
        sums: Sums of x, x², x³ and |x|.
        nan: Elements that are not finite.
        sketch: Random projections as those of values, of evenly spread rows when there are very
            many elements. Rounding hardly changes their direction, and a scale does not change it
            at all.
    """

    count: int
    least: float
    greatest: float
    sums: tuple[float, float, float, float]
    nan: int = 0
    sketch: bytes = b""

    def __post_init__(self) -> None:
        if self.sums[1] < 0:
            raise ValueError("`sums` must have a sum of squares that is not negative")
        check_sketch(self.sketch)


def is_native(dtype: np.dtype[Any]) -> bool:
    """Whether a type is one of numpy's own, and not one that a library added (bfloat16)."""
    return dtype.isbuiltin != _ADDED_TYPE


def standard_type(array: Array) -> Array:
    """Types that numpy itself does not have (bfloat16, 8-bit floats, 4 bits) become float32."""
    return array if is_native(array.dtype) else array.astype(np.float32)


def value_fingerprint(
    array: Array, infinity_threshold: float = INFINITY_THRESHOLD
) -> ValueFingerprint | None:
    """Summarise an intermediate value; None for what holds no numbers (strings, objects).

    Args:
        array: The value.
        infinity_threshold: Magnitude from which elements count as infinite.
    """
    array = standard_type(array)
    if array.dtype.kind not in _NUMBER_KINDS:
        return None
    return _fingerprints_of_one_size([array], infinity_threshold)[0]


def value_fingerprints(
    arrays: Sequence[Array], infinity_threshold: float = INFINITY_THRESHOLD, *, threads: int = 1
) -> list[ValueFingerprint | None]:
    """Summarise many values, those of one size and one type together, which saves time.

    Args:
        arrays: The values.
        infinity_threshold: Magnitude from which elements count as infinite.
        threads: Threads to use when there are many elements.
    """
    arrays = [standard_type(array) for array in arrays]
    groups = list(_groups_of_one_size(arrays))
    count = threads if sum(array.size for array in arrays) >= _FEWEST_FOR_THREADS else 1

    def summarise(group: list[int]) -> list[ValueFingerprint]:
        return _fingerprints_of_one_size([arrays[n] for n in group], infinity_threshold)

    with ThreadPoolExecutor(count) if count > 1 else nullcontext() as pool:
        results = (map if pool is None else pool.map)(summarise, groups)
        fingerprints = {
            place: fingerprint
            for group, result in zip(groups, results, strict=True)
            for place, fingerprint in zip(group, result, strict=True)
        }
    return [fingerprints.get(place) for place in range(len(arrays))]


def _groups_of_one_size(arrays: Sequence[Array]) -> Iterator[list[int]]:
    """Places of arrays of numbers that have one size and one type, a batch at a time."""
    groups: dict[tuple[int, np.dtype[Any]], list[int]] = {}
    for place, array in enumerate(arrays):
        if array.dtype.kind in _NUMBER_KINDS:
            groups.setdefault((array.size, array.dtype), []).append(place)
    for (size, _), places in sorted(groups.items(), key=lambda group: -group[0][0]):
        step = arrays_per_batch(size)
        yield from (places[start : start + step] for start in range(0, len(places), step))


def _fingerprints_of_one_size(
    arrays: list[Array], infinity_threshold: float
) -> list[ValueFingerprint]:
    """Summarise values of one size and one type."""
    ordered = np.stack([array.reshape(-1) for array in arrays])
    kind, size = ordered.dtype.kind, ordered.shape[1]
    with np.errstate(over="ignore", invalid="ignore"):  # in rows that are summarised again below
        numbers = ordered.astype(np.float32, copy=False)
        sketches = sketch_rows(numbers) if size > 1 else None
        if kind == "f" and ordered.dtype.itemsize < numbers.dtype.itemsize:
            ordered = numbers
        ordered.sort(axis=1)
        quantiles = (ordered if size <= QUANTILES else ordered[:, _positions(size)]).astype("<f4")
    finite = np.ones(len(arrays), bool)
    if kind == "f" and size:
        finite = (ordered[:, 0] > -infinity_threshold) & (ordered[:, -1] < infinity_threshold)
    return [
        ValueFingerprint(
            array.shape,
            kind,
            quantiles[row].tobytes(),
            b"" if sketches is None else sketches[row].tobytes(),
        )
        if finite[row]
        else _fingerprint_of_infinite(array, ordered[row], infinity_threshold)
        for row, array in enumerate(arrays)
    ]


def _fingerprint_of_infinite(
    array: Array, ordered: Array, infinity_threshold: float
) -> ValueFingerprint:
    """Summarise a value that holds NaN, or numbers that count as infinite."""
    numbers = ordered.size - int(np.isnan(ordered[-1]) and np.isnan(ordered).sum())
    below = int(np.searchsorted(ordered[:numbers], -infinity_threshold, "right"))
    above = numbers - int(np.searchsorted(ordered[:numbers], infinity_threshold, "left"))
    finite = ordered[below : numbers - above]
    if finite.size > QUANTILES:
        finite = finite[_positions(finite.size)]
    sketch = b"" if array.size <= 1 else _sketch_of_finite(array, infinity_threshold).tobytes()
    quantiles = finite.astype("<f4").tobytes()
    nan = ordered.size - numbers
    return ValueFingerprint(array.shape, "f", quantiles, sketch, below, above, nan)


def _sketch_of_finite(array: Array, infinity_threshold: float) -> Sketch:
    """The sketch of a value with zero in place of infinity and NaN."""
    with np.errstate(over="ignore"):
        numbers = array.reshape(1, -1).astype(np.float32, copy=False)
    numbers = np.where(np.abs(numbers) < infinity_threshold, numbers, np.float32(0))
    sketch: Sketch = sketch_rows(numbers)[0]
    return sketch


@lru_cache(maxsize=4096)
def _positions(size: int) -> npt.NDArray[np.int64]:
    """Positions of the order statistics among `size` sorted elements."""
    return np.linspace(0, size - 1, QUANTILES).round().astype(np.int64)


def weight_fingerprint(array: Array, *, sketched: bool = True) -> WeightFingerprint | None:
    """Summarise a weight; None for what holds no numbers or nothing at all.

    Args:
        array: The weight.
        sketched: Make its sketch, too.
    """
    array = standard_type(array)
    if array.dtype.kind not in _NUMBER_KINDS or not array.size:
        return None
    flat = np.ascontiguousarray(array).reshape(-1)
    least, greatest, sums, nan = _power_sums(flat)
    if nan == flat.size:
        return None
    sketch = weight_sketch(array).tobytes() if sketched else b""
    return WeightFingerprint(flat.size, least, greatest, sums, nan, sketch)


def _power_sums(flat: Array) -> tuple[float, float, tuple[float, float, float, float], int]:
    """Least and greatest element; sums of x, x², x³ and |x|; how many elements are not finite.

    Only finite elements count. A sum that overflows is 0.
    """
    wide = np.float32 if flat.dtype.itemsize <= np.dtype(np.float32).itemsize else np.float64
    least, greatest, nan = np.inf, -np.inf, 0
    sums = np.zeros(4)
    for start in range(0, flat.size, _SUMMED_ELEMENTS):
        part: Array = flat[start : start + _SUMMED_ELEMENTS].astype(wide, copy=False)
        low, high = float(part.min()), float(part.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            size = part.size
            part = part[np.isfinite(part)]
            nan += size - part.size
            if not part.size:
                continue
            low, high = float(part.min()), float(part.max())
        least, greatest = min(least, low), max(greatest, high)
        with np.errstate(over="ignore", invalid="ignore"):
            square = np.square(part)
            sums += (part.sum(), square.sum(), np.dot(square, part), np.abs(part).sum())
    total, squares, cubes, absolute = (float(s) if np.isfinite(s) else 0.0 for s in sums)
    return least, greatest, (total, squares, cubes, absolute), nan
