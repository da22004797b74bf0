"""Small summaries of tensors by which they are recognised in another file.

- A *value* (an intermediate tensor on the probe inputs) keeps order statistics, which do not
  see the order of its elements, so that transposing or reshaping changes nothing; and a
  *sketch*, which does: random projections, whose differences estimate how far two tensors of
  one layout are apart (Johnson and Lindenstrauss), rounding and quantisation included.
- A *weight* keeps power sums, which cost one pass over hundreds of megabytes, and a sketch,
  which tells it from all others of its size even when its numbers were rounded to few bits.
"""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

QUANTILES = 16
PROJECTIONS = 16
BEYOND = 1e30
"""What masks put in place of infinity: larger magnitudes count as infinite."""

_CHUNK = 1 << 16
"""Elements summed at a time: few enough to stay in cache, and exact enough in single precision."""

_BLOCK = 4096
"""Elements projected at a time; the signs of further blocks are those of the first, or minus."""

_SKETCHED = 1 << 20
"""Elements of a weight that are projected, about."""

_SEED = 20

_KINDS = "fiub"
"""numpy's letters for numbers."""

_MANY = 1 << 15
"""Elements from which a second thread is worth its trouble."""

_TOGETHER = 1 << 18
"""Elements of equally large values that are summarised at a time."""

Array = npt.NDArray[Any]
Sketch = npt.NDArray[np.float32]


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
            many elements. Rounding hardly turns them, and a scale does not turn them at all.
    """

    count: int
    least: float
    greatest: float
    sums: tuple[float, float, float, float]
    nan: int = 0
    sketch: bytes = b""


def value_fingerprint(array: Array, beyond: float = BEYOND) -> ValueFingerprint | None:
    """Summarise an intermediate value; None for what holds no numbers (strings, objects).

    Args:
        array: The value.
        beyond: Magnitude from which elements count as infinite.
    """
    return _alike([array], beyond)[0] if array.dtype.kind in _KINDS else None


def value_fingerprints(
    arrays: Sequence[Array], beyond: float = BEYOND, *, threads: int = 1
) -> list[ValueFingerprint | None]:
    """Summarise many values: a call for those of one size and type costs little more than for one.

    Args:
        arrays: The values.
        beyond: Magnitude from which elements count as infinite.
        threads: Threads to use when there are many elements.
    """
    groups = list(_groups(arrays))
    count = threads if sum(array.size for array in arrays) >= _MANY else 1
    with ThreadPoolExecutor(count) if count > 1 else nullcontext() as pool:
        every = map if pool is None else pool.map
        made = every(lambda group: _alike([arrays[n] for n in group], beyond), groups)
        known = {
            n: p
            for group, prints in zip(groups, made, strict=True)
            for n, p in zip(group, prints, strict=True)
        }
    return [known.get(n) for n in range(len(arrays))]


def _groups(arrays: Sequence[Array]) -> Iterator[list[int]]:
    """Places of arrays of numbers that have one size and one type, so many elements at a time."""
    alike: dict[tuple[int, np.dtype[Any]], list[int]] = {}
    for place, array in enumerate(arrays):
        if array.dtype.kind in _KINDS:
            alike.setdefault((array.size, array.dtype), []).append(place)
    for (size, _), places in sorted(alike.items(), key=lambda group: -group[0][0]):
        step = max(1, _TOGETHER // max(1, size))
        yield from (places[start : start + step] for start in range(0, len(places), step))


def _alike(arrays: list[Array], beyond: float) -> list[ValueFingerprint]:
    """Summarise values of one size and one type."""
    ordered = np.stack([array.reshape(-1) for array in arrays])
    kind, size = ordered.dtype.kind, ordered.shape[1]
    with np.errstate(over="ignore", invalid="ignore"):  # of rows that are done again
        numbers = ordered.astype(np.float32, copy=False)
        sketches = _sketches(numbers) if size > 1 else None
        if kind == "f" and ordered.dtype.itemsize < numbers.dtype.itemsize:
            ordered = numbers
        ordered.sort(axis=1)
        quantiles = (ordered if size <= QUANTILES else ordered[:, _picks(size)]).astype("<f4")
    finite = np.ones(len(arrays), bool)
    if kind == "f" and size:
        finite = (ordered[:, 0] > -beyond) & (ordered[:, -1] < beyond)
    return [
        ValueFingerprint(
            array.shape,
            kind,
            quantiles[row].tobytes(),
            b"" if sketches is None else sketches[row].tobytes(),
        )
        if finite[row]
        else _with_infinite(array, ordered[row], beyond)
        for row, array in enumerate(arrays)
    ]


def _with_infinite(array: Array, ordered: Array, beyond: float) -> ValueFingerprint:
    """Summarise a value that holds what is no number, or too large for one."""
    known = ordered.size - int(np.isnan(ordered[-1]) and np.isnan(ordered).sum())
    below = int(np.searchsorted(ordered[:known], -beyond, "right"))
    above = known - int(np.searchsorted(ordered[:known], beyond, "left"))
    finite = ordered[below : known - above]
    if finite.size > QUANTILES:
        finite = finite[_picks(finite.size)]
    sketch = b""
    if array.size > 1:
        with np.errstate(over="ignore"):
            numbers = array.reshape(-1).astype(np.float32, copy=False)
        numbers = np.where(np.abs(numbers) < beyond, numbers, np.float32(0))
        sketch = _sketch(numbers).tobytes()
    quantiles = finite.astype("<f4").tobytes()
    nan = ordered.size - known
    return ValueFingerprint(array.shape, "f", quantiles, sketch, below, above, nan)


def value_sketches(arrays: Sequence[Array]) -> Sketch:
    """Those of real values of one size, a row for each; they say nothing of infinite ones."""
    with np.errstate(over="ignore", invalid="ignore"):
        stacked = (np.stack([array.reshape(-1) for array in part]) for part in _parts(arrays))
        return np.concatenate([_sketches(part.astype(np.float32, copy=False)) for part in stacked])


def _parts(arrays: Sequence[Array]) -> Iterator[Sequence[Array]]:
    """Arrays of one size, so many elements at a time."""
    step = max(1, _TOGETHER // max(1, arrays[0].size))
    return (arrays[start : start + step] for start in range(0, len(arrays), step))


@lru_cache(maxsize=4096)
def _picks(size: int) -> npt.NDArray[np.int64]:
    return np.linspace(0, size - 1, QUANTILES).round().astype(np.int64)


def _sketch(numbers: npt.NDArray[np.float32]) -> Sketch:
    found: Sketch = _sketches(numbers.reshape(1, -1))[0]
    return found


def _sketches(numbers: npt.NDArray[np.float32]) -> Sketch:
    """A sketch for each row."""
    rows, size = numbers.shape
    whole = size - size % _BLOCK
    found = numbers[:, whole:] @ _signs(_BLOCK)[: size - whole]
    if whole:
        blocks = numbers[:, :whole].reshape(-1, _BLOCK) @ _signs(_BLOCK)
        count = whole // _BLOCK + 1
        turns = _signs(1 << (count - 1).bit_length())[:count]
        turned = blocks.reshape(rows, -1, PROJECTIONS) * turns[:-1]
        found = found * turns[-1] + turned.sum(axis=1)
    return np.asarray(found / np.float32(np.sqrt(size)), "<f4")


@lru_cache(maxsize=32)
def _signs(rows: int) -> npt.NDArray[np.float32]:
    """Random signs, a row an element; more rows begin with the same ones.

    From the raw bits of the generator, which numpy keeps stable from version to version.
    """
    raw = np.random.PCG64(_SEED).random_raw(rows)
    bits = (raw[:, None] >> np.arange(PROJECTIONS, dtype=np.uint64)) & np.uint64(1)
    return bits.astype(np.float32) * 2 - 1


@lru_cache(maxsize=4096)
def value_sketch_of_ones(size: int) -> Sketch:
    """The sketch of a value of ones: where a zero point moves a sketch."""
    return _sketch(np.ones(size, np.float32))


def weight_fingerprint(array: Array, *, sketched: bool = True) -> WeightFingerprint | None:
    """Summarise a weight; None for what holds no numbers or nothing at all.

    Args:
        array: The weight.
        sketched: Make its sketch, too.
    """
    if array.dtype.kind not in _KINDS or not array.size:
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
        with np.errstate(over="ignore", invalid="ignore"):
            square = np.square(part)
            sums += (part.sum(), square.sum(), np.dot(square, part), np.abs(part).sum())
    if nan == flat.size:
        return None
    total, squares, cubes, absolute = (float(s) if np.isfinite(s) else 0.0 for s in sums)
    sketch = weight_sketch(array).tobytes() if sketched else b""
    powers = (total, squares, cubes, absolute)
    return WeightFingerprint(flat.size, least, greatest, powers, nan, sketch)


def weight_sketch(array: Array) -> Sketch:
    """Random projections of a weight as it lies, or of evenly spread rows of it."""
    found: Sketch = weight_sketches([array])[0]
    return found


def weight_sketches(arrays: Sequence[Array]) -> Sketch:
    """Those of weights of one size and as many rows, a row for each."""
    return np.concatenate([_sketches(_stacked(part)) for part in _parts(arrays)])


def _stacked(weights: Sequence[Array]) -> npt.NDArray[np.float32]:
    """The numbers that are projected, a row for each weight; zero in place of what is none."""
    rows = [np.ascontiguousarray(_spread(weight), np.float32) for weight in weights]
    numbers = rows[0].reshape(1, -1) if len(rows) == 1 else np.stack(rows).reshape(len(rows), -1)
    if not (numbers.max(initial=0) < BEYOND and numbers.min(initial=0) > -BEYOND):  # nor for NaN
        numbers = np.where(np.abs(numbers) < BEYOND, numbers, np.float32(0))
    return numbers


def _spread(weight: Array) -> Array:
    """A weight, or evenly spread rows of one that is very large."""
    rows = weight.reshape(weight.shape[0], -1) if weight.ndim > 1 else weight.reshape(1, -1)
    step = -(-weight.size // _SKETCHED)
    return rows[::step] if rows.shape[0] > 1 else rows[:, ::step]


def sketch_of_ones(shape: tuple[int, ...]) -> Sketch:
    """What `weight_sketch` gives of ones: where a zero point moves a sketch."""
    return _sketch_of_ones(shape[0] if len(shape) > 1 else 1, math.prod(shape))


@lru_cache(maxsize=1024)
def _sketch_of_ones(rows: int, size: int) -> Sketch:
    return weight_sketch(np.ones((rows, size // max(1, rows)), np.float32))
