"""How far one array is from another."""

import math
from typing import NamedTuple

import numpy as np

from modelexport.hierarchy.fingerprints import Array


class Figures(NamedTuple):
    """Errors of an array against the true one; see `rewriter.comparison.results.Deviation`."""

    max_abs: float
    mean_abs: float
    relative: float | None
    cosine: float | None
    snr_db: float | None
    unlike: int

    def diverges(self, tolerance: float) -> bool:
        """Whether the difference is more than the tolerance allows."""
        distance = self.max_abs if self.relative is None else self.relative
        return bool(self.unlike) or distance > tolerance


def figures(true: Array, other: Array) -> Figures:
    """Compare two arrays of one size, element by element whatever their shapes.

    >>> figures(np.array([3.0, 4.0]), np.array([3.0, 4.5]))[:3]
    (0.5, 0.25, 0.1)
    """
    left, right = true.reshape(-1), other.reshape(-1)
    if "O" in {left.dtype.kind, right.dtype.kind}:
        unlike = int((left != right).sum())
        return Figures(0.0, 0.0, 0.0, None, None, unlike)
    left, right = left.astype(np.float64), right.astype(np.float64)
    good = np.isfinite(left) & np.isfinite(right)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    unlike = int((~good & ~same).sum())
    if not good.all():
        left, right = left[good], right[good]
    if not left.size:
        return Figures(0.0, 0.0, 0.0, None, None, unlike)
    noise = right - left
    distances = np.abs(noise)
    signal, other_norm, error = _norm(left), _norm(right), _norm(noise)
    return Figures(
        max_abs=float(distances.max()),
        mean_abs=float(distances.mean()),
        relative=error / signal if signal else (None if error else 0.0),
        cosine=_cosine(left, right, signal, other_norm),
        snr_db=20 * math.log10(signal / error) if signal and error else None,
        unlike=unlike,
    )


def _norm(array: Array) -> float:
    return float(np.linalg.norm(array))


def _cosine(left: Array, right: Array, a: float, b: float) -> float | None:
    """Of the angle; the norms are divided by first, for numbers as great as masks hold."""
    if not a or not b:
        return None
    return max(-1.0, min(1.0, float((left / a) @ (right / b))))
