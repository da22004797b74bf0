"""Recorded weights by the direction of their sketches.

A sketch (`hierarchy.fingerprints`) is a few random projections. Rounding hardly turns it and a
scale does not turn it at all; what a zero point adds is taken out.
"""

import math
from collections import defaultdict
from typing import NamedTuple

import numpy as np

from modelexport.hierarchy.fingerprints import Array, WeightFingerprint
from modelexport.hierarchy.record import Tensor
from modelexport.hierarchy.sketches import (
    PROJECTIONS,
    Sketch,
    weight_sketch_of_ones,
    weight_sketches,
)

_SAME_DIRECTION = 0.97
"""Cosine of two sketches of one weight, in however few bits; no two others came near it."""

_SAME = 1e-5
"""Largest difference of two sketches, over the sketch, of one weight none of which was rounded."""

_AS_GOOD = 0.005
"""Sketches this near to the best one's cosine are as good."""

_SAME_SUMS = 1e-4
"""Relative difference of sums of the same numbers in another order."""

_AT_A_TIME = 512
"""Sketches compared at a time."""


class Alike(NamedTuple):
    """What a weight may be.

    Attributes:
        labels: Of recorded weights.
        exactly: Whether it holds the numbers of one of these, not just their proportions.
    """

    labels: list[int]
    exactly: bool


class _Near(NamedTuple):
    """A recorded weight of nearly the direction of a weight."""

    place: int
    cosine: float
    exactly: bool


class RecordedWeights:
    """The recorded weights of one size, by the direction of their sketches.

    One that was recorded twice, as it lies and transposed, is both wherever it is found: a sketch
    sees the order of the numbers, their extremes do not.
    """

    def __init__(self, labels: list[int], tensors: list[Tensor]) -> None:
        self.labels = np.array(labels)
        weights = [t.weight for t in tensors if t.weight is not None]
        sketches = np.frombuffer(b"".join([w.sketch for w in weights]), "<f4")
        self._sketches = sketches.reshape(-1, PROJECTIONS)
        self._directions: dict[bytes, Sketch] = {}
        self._twins = _twins(weights)

    def like(self, arrays: list[Array]) -> list[Alike]:
        """The recorded weights that each array may be, as it lies or transposed."""
        found = self._near(arrays)
        turned = [n for n, array in enumerate(arrays) if not found[n].labels and array.ndim == 2]
        for n, alike in zip(turned, self._near([arrays[n].T for n in turned]), strict=True):
            found[n] = alike
        return found

    def _near(self, arrays: list[Array]) -> list[Alike]:
        """The recorded weights that each array may be, just as it lies."""
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for n, array in enumerate(arrays):
            groups[len(array) if array.ndim > 1 else 1, array.size].append(n)
        found = [Alike([], exactly=False)] * len(arrays)
        for group in groups.values():
            ones = weight_sketch_of_ones(arrays[group[0]].shape).tobytes()
            for start in range(0, len(group), _AT_A_TIME):
                part = group[start : start + _AT_A_TIME]
                sketches = weight_sketches([arrays[n] for n in part])
                for row, near in self._nearest(sketches, ones).items():
                    found[part[row]] = self._best(near)
        return found

    def _nearest(self, sketches: Sketch, ones: bytes) -> dict[int, list[_Near]]:
        """For each sketch the recorded weights of its direction, if there are any."""
        cosines = self._cosines(sketches, ones)
        rows, places = np.nonzero(cosines >= _SAME_DIRECTION)
        apart = np.abs(self._sketches[places] - sketches[rows]).max(axis=1)
        exactly = apart <= _SAME * np.abs(sketches).max(axis=1)[rows]
        pairs = zip(places.tolist(), cosines[rows, places].tolist(), exactly.tolist(), strict=True)
        found: dict[int, list[_Near]] = defaultdict(list)
        for row, near in zip(rows.tolist(), pairs, strict=True):
            found[row].append(_Near(*near))
        return found

    def _cosines(self, sketches: Sketch, ones: bytes) -> Sketch:
        unit = np.frombuffer(ones, np.float32)
        if ones not in self._directions:
            self._directions[ones] = _direction(self._sketches, unit)
        found: Sketch = _direction(sketches, unit) @ self._directions[ones].T
        return found

    def _best(self, near: list[_Near]) -> Alike:
        best = max(each.cosine for each in near)
        good = [each for each in near if each.cosine >= best - _AS_GOOD]
        groups = {id(self._twins[n.place]): self._twins[n.place] for n in good}  # each group once
        labels = [int(self.labels[place]) for place in sorted(set().union(*groups.values()))]
        return Alike(labels, exactly=any(each.exactly for each in good))


def _twins(weights: list[WeightFingerprint]) -> list[set[int]]:
    """The places of those that hold the same numbers as each, in whatever order; itself, too."""
    found: list[set[int]] = []
    alike: dict[tuple[float, float], list[tuple[WeightFingerprint, set[int]]]] = defaultdict(list)
    for place, weight in enumerate(weights):
        known = alike[weight.least, weight.greatest]
        group = next((group for first, group in known if _same_numbers(first, weight)), None)
        if group is None:
            group = set()
            known.append((weight, group))
        group.add(place)
        found.append(group)
    return found


def _same_numbers(one: WeightFingerprint, other: WeightFingerprint) -> bool:
    """Whether two weights of equal extremes hold the same numbers, in whatever order."""
    return all(
        math.isclose(a, b, rel_tol=_SAME_SUMS)
        for a, b in zip(one.sums[1::2], other.sums[1::2], strict=True)
    )


def _direction(sketches: Sketch, ones: Sketch) -> Sketch:
    """Sketches brought to length 1, without what a zero point adds."""
    sketches = sketches.astype(np.float64)  # squares of large numbers exceed single precision
    unit = ones / max(float(np.linalg.norm(ones)), 1e-30)
    rest = sketches - np.outer(sketches @ unit, unit)
    lengths = np.linalg.norm(rest, axis=1, keepdims=True)
    plain = lengths <= 1e-5 * np.linalg.norm(sketches, axis=1, keepdims=True)
    found: Sketch = np.where(plain, 0, rest / np.maximum(lengths, 1e-30)).astype(np.float32)
    return found
