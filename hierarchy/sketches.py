"""Random projections of tensors: a few numbers that tell how far two tensors are apart.

A sketch is a list of `PROJECTIONS` sums. Each sum adds all elements of a tensor, every element
with a random sign. The distance of two sketches estimates the distance of the two tensors
(Johnson and Lindenstrauss, 1984). The order of the elements counts, the shape does not.

The same signs are used always and everywhere, so that the sketches of two files compare.
"""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

PROJECTIONS = 16
"""Sums in one sketch."""

INFINITY_THRESHOLD = 1e30
"""Magnitude from which a number counts as infinite. Masks hold such numbers in its place."""

_SIGN_ROWS = 4096
"""Elements that have signs of their own. The next block of elements reuses these signs, or all
of them turned around."""

_MOST_WEIGHT_ELEMENTS = 1 << 20
"""Elements of one weight that are projected, about. A larger weight is sampled by rows."""

_BATCH_ELEMENTS = 1 << 18
"""Elements of equally large tensors that are stacked at a time: few enough to stay in cache."""

_SEED = 20
"""Seed of the random signs. Part of the record's format: another seed fits no record."""

Array = npt.NDArray[Any]
Sketch = npt.NDArray[np.float32]
"""One sketch, or one sketch a row."""


def arrays_per_batch(size: int) -> int:
    """How many arrays of a size are stacked at a time."""
    return max(1, _BATCH_ELEMENTS // max(1, size))


def check_sketch(sketch: bytes) -> None:
    """Refuse stored bytes that are no sketch.

    Args:
        sketch: Numbers in float32, or nothing where there is none.

    Raises:
        ValueError: They are not `PROJECTIONS` numbers.
    """
    if sketch and len(sketch) != PROJECTIONS * np.dtype(np.float32).itemsize:
        raise ValueError(f"`sketch` must be {PROJECTIONS} numbers of 4 bytes, or empty")


def value_sketches(arrays: Sequence[Array]) -> Sketch:
    """The sketches of real values of one size, one a row.

    A value that holds infinite numbers or NaN gets a sketch that is not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        batches = (np.stack([array.reshape(-1) for array in part]) for part in _batches(arrays))
        return np.concatenate(
            [sketch_rows(batch.astype(np.float32, copy=False)) for batch in batches]
        )


@lru_cache(maxsize=4096)
def value_sketch_of_ones(size: int) -> Sketch:
    """The sketch of a value of ones: the direction in which a zero point moves a sketch."""
    sketch: Sketch = sketch_rows(np.ones((1, size), np.float32))[0]
    return sketch


def weight_sketch(array: Array) -> Sketch:
    """The sketch of a weight, or of evenly spaced rows of a very large one."""
    sketch: Sketch = weight_sketches([array])[0]
    return sketch


def weight_sketches(arrays: Sequence[Array]) -> Sketch:
    """The sketches of weights that have one size and one number of rows, one sketch a row."""
    return np.concatenate([sketch_rows(_stacked_weights(batch)) for batch in _batches(arrays)])


def weight_sketch_of_ones(shape: tuple[int, ...]) -> Sketch:
    """What `weight_sketch` gives of ones: the direction in which a zero point moves a sketch."""
    return _weight_sketch_of_ones(shape[0] if len(shape) > 1 else 1, math.prod(shape))


def sketch_rows(numbers: npt.NDArray[np.float32]) -> Sketch:
    """The sketch of each row of a matrix."""
    rows, size = numbers.shape
    whole = size - size % _SIGN_ROWS
    sums = numbers[:, whole:] @ _signs(_SIGN_ROWS)[: size - whole]
    if whole:
        blocks = numbers[:, :whole].reshape(-1, _SIGN_ROWS) @ _signs(_SIGN_ROWS)
        count = whole // _SIGN_ROWS + 1
        block_signs = _signs(1 << (count - 1).bit_length())[:count]
        signed = blocks.reshape(rows, -1, PROJECTIONS) * block_signs[:-1]
        sums = sums * block_signs[-1] + signed.sum(axis=1)
    return np.asarray(sums / np.float32(np.sqrt(max(1, size))), "<f4")


def _batches(arrays: Sequence[Array]) -> Iterator[Sequence[Array]]:
    """Arrays of one size, as many at a time as are stacked."""
    step = arrays_per_batch(arrays[0].size)
    return (arrays[start : start + step] for start in range(0, len(arrays), step))


@lru_cache(maxsize=32)
def _signs(rows: int) -> npt.NDArray[np.float32]:
    """Random signs (1 or -1), a row for each element; more rows begin with the same ones.

    They come from the raw bits of the generator, which numpy keeps stable between versions.
    """
    raw = np.random.PCG64(_SEED).random_raw(rows)
    bits = (raw[:, None] >> np.arange(PROJECTIONS, dtype=np.uint64)) & np.uint64(1)
    return bits.astype(np.float32) * 2 - 1


def _stacked_weights(weights: Sequence[Array]) -> npt.NDArray[np.float32]:
    """The numbers that are projected, a row for each weight; zero in place of infinity and NaN."""
    rows = [np.ascontiguousarray(_sampled_rows(weight), np.float32) for weight in weights]
    numbers = rows[0].reshape(1, -1) if len(rows) == 1 else np.stack(rows).reshape(len(rows), -1)
    least, greatest = numbers.min(initial=0), numbers.max(initial=0)
    if not (greatest < INFINITY_THRESHOLD and least > -INFINITY_THRESHOLD):  # true for NaN, too
        numbers = np.where(np.abs(numbers) < INFINITY_THRESHOLD, numbers, np.float32(0))
    return numbers


def _sampled_rows(weight: Array) -> Array:
    """A weight, or evenly spaced rows of a very large one; single elements where it has one row."""
    count = weight.shape[0] if weight.ndim > 1 else 1
    rows = weight.reshape(count, weight.size // max(1, count))
    step = max(1, -(-weight.size // _MOST_WEIGHT_ELEMENTS))
    return rows[::step] if rows.shape[0] > 1 else rows[:, ::step]


@lru_cache(maxsize=1024)
def _weight_sketch_of_ones(rows: int, size: int) -> Sketch:
    return weight_sketch(np.ones((rows, size // max(1, rows)), np.float32))
