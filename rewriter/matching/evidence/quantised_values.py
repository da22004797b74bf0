"""Values of a quantised file: recognised by the direction and length of their sketches.

Quantising moves every number, the more the deeper in the graph, so a value is compared with all
recorded ones of its size and no distance proves a pair: it speaks for one, or against it, and
the neighbours decide. What is stored in 8 bits has a scale and a zero point of its own; without
these its direction is compared.
"""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from modelexport.hierarchy.fingerprints import ValueFingerprint
from modelexport.hierarchy.sketches import value_sketch_of_ones
from modelexport.rewriter.graph.indexed_graph import NONE, IndexedGraph

Sketches = npt.NDArray[np.float64]

_NEAR = 0.35
"""Relative distance of sketches up to which a value may be a recorded one."""

_FAR = 0.8
"""Relative distance from which it is not, unless its order statistics say otherwise."""

_AS_GOOD = 1.5
"""Candidates within this factor of the nearest one's distance are as good."""

_NOISE = 0.02

_SORTED_NEAR = 0.15
"""The same in another layout: largest difference of order statistics over the magnitude."""

_FEWEST_ELEMENTS = 12
_FEWEST_STEPS = 8
_EIGHT_BITS = (-128, 255)


class RoundedValues:
    """Compares the values of a quantised file with recorded ones.

    Args:
        here, there: Wirings of the file and of the record.
        prints, recorded: Fingerprints of their values.

    Attributes:
        vetoes: Whether values that are far apart speak against a pair.
    """

    def __init__(
        self,
        here: IndexedGraph,
        there: IndexedGraph,
        prints: Mapping[int, ValueFingerprint],
        recorded: Mapping[int, ValueFingerprint],
    ) -> None:
        self.vetoes = False
        self._here = here
        self._there = there
        self._prints = prints
        self._recorded = recorded
        groups: dict[int, list[int]] = defaultdict(list)
        for value, known in recorded.items():
            if known.sketch and known.kind == "f" and not there.is_constant(value):
                groups[known.size].append(value)
        self._groups = {
            size: (values, np.stack([sketch_of(recorded[value]) for value in values]))
            for size, values in groups.items()
        }
        self._directions: dict[int, Sketches] = {}

    def ops_for(self, node: int) -> dict[int, float]:
        """Recorded ops whose results are near to a node's, with the distance."""
        found: dict[int, float] = {}
        for value in self._here.output_values(node):
            known = self._prints.get(value)
            if known is None or known.size < _FEWEST_ELEMENTS or known.size not in self._groups:
                continue
            values, sketches = self._groups[known.size]
            if known.kind == "f":
                distances = _distances(sketch_of(known), sketches)
            elif _in_eight_bits(known):
                distances = _distances(_direction(known), self._directions_of(known.size))
            else:
                continue
            limit = min(_NEAR, _AS_GOOD * float(distances.min()) + _NOISE)
            for place in np.nonzero(distances <= limit)[0]:
                op = self._there.producer[values[place]]
                if op != NONE:
                    found[op] = min(float(distances[place]), found.get(op, 1.0))
        return found

    def _directions_of(self, size: int) -> Sketches:
        """The directions of all recorded values of a size."""
        if size not in self._directions:
            values, _ = self._groups[size]
            self._directions[size] = np.stack([_direction(self._recorded[v]) for v in values])
        return self._directions[size]

    def distance(self, node: int, op: int) -> float | None:
        """How far the results of a node and of a recorded op are apart, where they compare."""
        found = [
            distance
            for value in self._here.output_values(node)
            for recorded in self._there.output_values(op)
            if (distance := self._apart(value, recorded)) is not None
        ]
        return min(found, default=None)

    def _apart(self, value: int, recorded: int) -> float | None:
        left, right = self._prints.get(value), self._recorded.get(recorded)
        if left is None or right is None or left.size != right.size or right.kind != "f":
            return None
        if not left.sketch or not right.sketch:
            return None
        if left.kind == "f":
            return float(_distances(sketch_of(left), sketch_of(right)[None])[0])
        if not _in_eight_bits(left):
            return None
        return float(_distances(_direction(left), _direction(right)[None])[0])

    def compatible(self, node: int, op: int) -> bool | None:
        """Whether a node may be a recorded op; None where their values do not tell."""
        verdicts = [
            self._alike(value, recorded)
            for value in self._here.output_values(node)
            for recorded in self._there.output_values(op)
        ]
        if any(verdicts):
            return True
        return False if self.vetoes and False in verdicts else None

    def _alike(self, value: int, recorded: int) -> bool | None:
        left, right = self._prints.get(value), self._recorded.get(recorded)
        if left is None or right is None:
            return None
        stored = right.kind == "f" and _in_eight_bits(left)
        if left.kind != right.kind and not stored:
            return None
        if left.size != right.size:
            return False
        distance = None if left.size < _FEWEST_ELEMENTS else self._apart(value, recorded)
        if distance is None or stored:
            return None if distance is None or distance >= _FAR else True
        if distance < _FAR:
            return True
        a, b = left.statistics(), right.statistics()
        if a.size != b.size:
            return None
        scale = max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)), 1e-30)
        return bool(np.abs(a - b).max(initial=0) <= _SORTED_NEAR * scale)


def _in_eight_bits(known: ValueFingerprint) -> bool:
    """Whether a value may be real numbers, stored in 8 bits."""
    if known.kind not in "iu" or not known.sketch:
        return False
    steps = known.statistics()
    least, greatest = _EIGHT_BITS
    return bool(
        steps[0] >= least and steps[-1] <= greatest and np.unique(steps).size >= _FEWEST_STEPS
    )


def _direction(known: ValueFingerprint) -> npt.NDArray[np.float64]:
    """A sketch brought to length 1, without what a zero point adds."""
    sketch = sketch_of(known)
    ones = value_sketch_of_ones(known.size).astype(np.float64)
    ones = ones / max(float(np.linalg.norm(ones)), 1e-30)
    rest = sketch - (sketch @ ones) * ones
    found: npt.NDArray[np.float64] = rest / max(float(np.linalg.norm(rest)), 1e-30)
    return found


def sketch_of(known: ValueFingerprint) -> npt.NDArray[np.float64]:
    """The projections of a value."""
    return np.frombuffer(known.sketch, "<f4").astype(np.float64)


def _distances(
    sketch: npt.NDArray[np.float64], others: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    lengths = np.maximum(np.linalg.norm(others, axis=1), np.linalg.norm(sketch))
    found: npt.NDArray[np.float64] = np.linalg.norm(others - sketch, axis=1) / np.maximum(
        lengths, 1e-30
    )
    return found
