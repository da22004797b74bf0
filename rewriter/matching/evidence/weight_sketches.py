"""Recorded weights, found by the direction of their sketches.

A sketch (`hierarchy.sketches`) is a vector of a few random projections. Rounding a weight hardly
changes the direction of this vector, and a scale does not change it at all. The part that a zero
point adds is removed.
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
from modelexport.rewriter.matching.thresholds import (
    PLAIN_DIRECTION,
    SAME_DIRECTION,
    SAME_DIRECTION_MARGIN,
    SAME_SKETCH,
    SAME_SUMS,
)

_BATCH_WEIGHTS = 512
"""Weights whose sketches are compared at a time. Bounds the memory of the matrix of cosines."""

_TINY = 1e-30
"""Stands in for a length of zero, so that nothing is divided by zero."""


class WeightCandidates(NamedTuple):
    """The recorded weights that a weight may be.

    Attributes:
        labels: Labels of these recorded weights.
        exact: Whether it holds exactly the numbers of one of these, and not only their proportions.
    """

    labels: list[int]
    exact: bool


class _Neighbour(NamedTuple):
    """A recorded weight of nearly the direction of a weight."""

    place: int
    cosine: float
    exact: bool


class RecordedWeights:
    """The recorded weights of one size, by the direction of their sketches.

    A weight may be recorded twice, in its stored order and transposed. If one form is found, the
    other is a candidate, too: sketches depend on the order of the numbers, but sums do not.

    Args:
        labels: A number for each weight, which `match` gives back.
        tensors: The weights, in the same order.
    """

    def __init__(self, labels: list[int], tensors: list[Tensor]) -> None:
        self.labels = np.array(labels)
        weights = [t.weight for t in tensors if t.weight is not None]
        sketches = np.frombuffer(b"".join([w.sketch for w in weights]), "<f4")
        self._sketches = sketches.reshape(-1, PROJECTIONS)
        self._directions: dict[bytes, Sketch] = {}
        self._permutations = _groups_of_equal_numbers(weights)

    def match(
        self, arrays: list[Array], least_cosine: float = SAME_DIRECTION
    ) -> list[WeightCandidates]:
        """The recorded weights that each array may be, as it lies or transposed.

        Args:
            arrays: Weights of a file.
            least_cosine: Of the sketches of one weight.
        """
        candidates = self._match_untransposed(arrays, least_cosine)
        unmatched = [
            n for n, array in enumerate(arrays) if not candidates[n].labels and array.ndim == 2
        ]
        transposed = self._match_untransposed([arrays[n].T for n in unmatched], least_cosine)
        for n, match in zip(unmatched, transposed, strict=True):
            candidates[n] = match
        return candidates

    def _match_untransposed(
        self, arrays: list[Array], least_cosine: float
    ) -> list[WeightCandidates]:
        """The recorded weights that each array may be, as it lies."""
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for n, array in enumerate(arrays):
            groups[len(array) if array.ndim > 1 else 1, array.size].append(n)
        candidates = [WeightCandidates([], exact=False)] * len(arrays)
        for group in groups.values():
            ones = weight_sketch_of_ones(arrays[group[0]].shape).tobytes()
            for start in range(0, len(group), _BATCH_WEIGHTS):
                batch = group[start : start + _BATCH_WEIGHTS]
                sketches = weight_sketches([arrays[n] for n in batch])
                for row, neighbours in self._neighbours(sketches, ones, least_cosine).items():
                    candidates[batch[row]] = self._best(neighbours)
        return candidates

    def _neighbours(
        self, sketches: Sketch, ones: bytes, least_cosine: float
    ) -> dict[int, list[_Neighbour]]:
        """For each sketch the recorded weights of its direction, if there are any."""
        cosines = self._cosines(sketches, ones)
        rows, places = np.nonzero(cosines >= least_cosine)
        differences = np.abs(self._sketches[places] - sketches[rows]).max(axis=1)
        exact = differences <= SAME_SKETCH * np.abs(sketches).max(axis=1)[rows]
        pairs = zip(places.tolist(), cosines[rows, places].tolist(), exact.tolist(), strict=True)
        neighbours: dict[int, list[_Neighbour]] = defaultdict(list)
        for row, pair in zip(rows.tolist(), pairs, strict=True):
            neighbours[row].append(_Neighbour(*pair))
        return neighbours

    def _cosines(self, sketches: Sketch, ones: bytes) -> Sketch:
        """The cosine of each sketch (rows) with each recorded one (columns)."""
        sketch_of_ones = np.frombuffer(ones, np.float32)
        if ones not in self._directions:
            self._directions[ones] = _directions(self._sketches, sketch_of_ones)
        cosines: Sketch = _directions(sketches, sketch_of_ones) @ self._directions[ones].T
        return cosines

    def _best(self, neighbours: list[_Neighbour]) -> WeightCandidates:
        """The best neighbours, and the same numbers in another order."""
        best = max(neighbour.cosine for neighbour in neighbours)
        good = [n for n in neighbours if n.cosine >= best - SAME_DIRECTION_MARGIN]
        groups = {id(group): group for group in (self._permutations[n.place] for n in good)}
        labels = [int(self.labels[place]) for place in sorted(set().union(*groups.values()))]
        return WeightCandidates(labels, exact=any(n.exact for n in good))


def _groups_of_equal_numbers(weights: list[WeightFingerprint]) -> list[set[int]]:
    """For each weight the places of all that hold the same numbers, in whatever order.

    Weights that hold the same numbers share one set.
    """
    groups: list[set[int]] = []
    by_extremes: dict[tuple[float, float], list[tuple[WeightFingerprint, set[int]]]]
    by_extremes = defaultdict(list)
    for place, weight in enumerate(weights):
        alike = by_extremes[weight.least, weight.greatest]
        group = next((group for first, group in alike if _same_sums(first, weight)), None)
        if group is None:
            group = set()
            alike.append((weight, group))
        group.add(place)
        groups.append(group)
    return groups


def _same_sums(one: WeightFingerprint, other: WeightFingerprint) -> bool:
    """Whether two weights of equal extremes have equal sums of x² and |x|."""
    return all(
        math.isclose(a, b, rel_tol=SAME_SUMS)
        for a, b in zip(one.sums[1::2], other.sums[1::2], strict=True)
    )


def _directions(sketches: Sketch, sketch_of_ones: Sketch) -> Sketch:
    """Sketches without the part that a zero point adds, scaled to length 1.

    The sketch of equal numbers has no direction: it becomes zero.
    """
    sketches = sketches.astype(np.float64)  # squares of large numbers exceed single precision
    unit = sketch_of_ones / max(float(np.linalg.norm(sketch_of_ones)), _TINY)
    rest = sketches - np.outer(sketches @ unit, unit)
    lengths = np.linalg.norm(rest, axis=1, keepdims=True)
    plain = lengths <= PLAIN_DIRECTION * np.linalg.norm(sketches, axis=1, keepdims=True)
    scaled: Sketch = np.where(plain, 0, rest / np.maximum(lengths, _TINY)).astype(np.float32)
    return scaled
