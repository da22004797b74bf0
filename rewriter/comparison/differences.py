"""How far one array is from another."""

import math
from typing import NamedTuple

import numpy as np

from modelexport.hierarchy.fingerprints import Array


class Errors(NamedTuple):
    """Errors of an array against the expected one; see `rewriter.comparison.results.Deviation`."""

    max_abs: float
    mean_abs: float
    relative: float | None
    cosine: float | None
    snr_db: float | None
    unlike: int

    @property
    def distance(self) -> float:
        """The relative distance; the greatest difference where all expected numbers are zero."""
        return self.max_abs if self.relative is None else self.relative

    def diverges(self, tolerance: float) -> bool:
        """Whether the error is above a tolerance.

        Args:
            tolerance: Relative distance (0 or more); an absolute one where all expected numbers
                are zero.
        """
        return bool(self.unlike) or self.distance > tolerance


def measure_errors(expected: Array, actual: Array) -> Errors:
    """Compare two arrays of one size, element by element whatever their shapes.

    >>> measure_errors(np.array([3.0, 4.0]), np.array([3.0, 4.5]))[:3]
    (0.5, 0.25, 0.1)
    """
    left, right = expected.reshape(-1), actual.reshape(-1)
    if "O" in {left.dtype.kind, right.dtype.kind}:
        return Errors(0.0, 0.0, 0.0, None, None, unlike=int((left != right).sum()))
    left, right = left.astype(np.float64), right.astype(np.float64)
    finite = np.isfinite(left) & np.isfinite(right)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    unlike = int((~finite & ~same).sum())
    if not finite.all():
        left, right = left[finite], right[finite]
    if not left.size:
        return Errors(0.0, 0.0, 0.0, None, None, unlike)
    noise = right - left
    distances = np.abs(noise)
    signal_norm, actual_norm, noise_norm = _norm(left), _norm(right), _norm(noise)
    return Errors(
        max_abs=float(distances.max()),
        mean_abs=float(distances.mean()),
        relative=noise_norm / signal_norm if signal_norm else (None if noise_norm else 0.0),
        cosine=_cosine(left, right, signal_norm, actual_norm),
        snr_db=20 * math.log10(signal_norm / noise_norm) if signal_norm and noise_norm else None,
        unlike=unlike,
    )


_LOWEST = np.array([np.finfo(kind).min for kind in (np.float16, np.float32, np.float64)])
"""The numbers that stand for minus infinity in masks of floating-point types."""


def without_masked(expected: Array, actual: Array) -> tuple[Array, Array]:
    """Two arrays of one size without the elements that a mask hides in both.

    One of them is the lowest number of a floating-point type there, or minus infinity, and the
    exponential of both is zero in single precision: whatever the other number is, it weighs nothing
    in a softmax. A quantised file has another number there, since its range ends earlier.

    >>> without_masked(np.array([1.0, np.finfo(np.float32).min]), np.array([1.5, -128.0]))
    (array([1.]), array([1.5]))
    """
    left, right = expected.reshape(-1), actual.reshape(-1)
    if left.dtype.kind != "f" or not left.size or left.min() > _LOWEST.max():
        return left, right
    with np.errstate(under="ignore", over="ignore", invalid="ignore"):
        nothing = np.exp(left.astype(np.float32)) + np.exp(right.astype(np.float32)) == 0
    hidden = nothing & (_is_lowest(left) | _is_lowest(right))
    return left[~hidden], right[~hidden]


def _is_lowest(array: Array) -> Array:
    lowest: Array = np.isneginf(array) | np.isin(array, _LOWEST.astype(np.float64))
    return lowest


def _norm(array: Array) -> float:
    return float(np.linalg.norm(array))


def _cosine(left: Array, right: Array, left_norm: float, right_norm: float) -> float | None:
    """The cosine of the angle between two arrays; None when one of them is zero.

    Both are divided by their norms first: masks hold numbers whose products are infinite.
    """
    if not left_norm or not right_norm:
        return None
    return max(-1.0, min(1.0, float((left / left_norm) @ (right / right_norm))))
