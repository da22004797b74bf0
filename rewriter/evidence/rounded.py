"""Values of a quantised file: recognised by the direction and length of their sketches.

Quantising moves every number, the more the deeper in the graph, so a value is compared with all
recorded ones of its size and no distance proves a pair: it speaks for one, or against it, and
the neighbours decide.
"""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hierarchy.fingerprint import ValueFingerprint
from rewriter.wiring import NONE, Wiring

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
        here: Wiring,
        there: Wiring,
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
            if known.sketch and known.kind == "f" and not there.constant(value):
                groups[known.size].append(value)
        self._groups = {
            size: (values, np.stack([sketch_of(recorded[value]) for value in values]))
            for size, values in groups.items()
        }

    def ops_for(self, node: int) -> dict[int, float]:
        """Recorded ops whose results are near to a node's, with the distance."""
        found: dict[int, float] = {}
        for value in self._here.makes(node):
            known = self._prints.get(value)
            if known is None or known.kind != "f" or known.size < _FEWEST_ELEMENTS:
                continue
            values, sketches = self._groups.get(known.size, ((), None))
            if sketches is None:
                continue
            distances = _distances(sketch_of(known), sketches)
            limit = min(_NEAR, _AS_GOOD * float(distances.min()) + _NOISE)
            for place in np.nonzero(distances <= limit)[0]:
                op = self._there.maker[values[place]]
                if op != NONE:
                    found[op] = min(float(distances[place]), found.get(op, 1.0))
        return found

    def distance(self, node: int, op: int) -> float | None:
        """How far the results of a node and of a recorded op are apart, where they compare."""
        found = []
        for value in self._here.makes(node):
            for recorded in self._there.makes(op):
                left, right = self._prints.get(value), self._recorded.get(recorded)
                if left is None or right is None or left.size != right.size:
                    continue
                if left.kind == right.kind == "f" and left.sketch and right.sketch:
                    near = _distances(sketch_of(left), sketch_of(right)[None])
                    found.append(float(near[0]))
        return min(found, default=None)

    def compatible(self, node: int, op: int) -> bool | None:
        """Whether a node may be a recorded op; None where their values do not tell."""
        verdicts = [
            self._alike(value, recorded)
            for value in self._here.makes(node)
            for recorded in self._there.makes(op)
        ]
        if any(verdicts):
            return True
        return False if self.vetoes and False in verdicts else None

    def _alike(self, value: int, recorded: int) -> bool | None:
        left, right = self._prints.get(value), self._recorded.get(recorded)
        if left is None or right is None or left.kind != right.kind:
            return None
        if left.size != right.size:
            return False
        if left.kind != "f" or not left.sketch or left.size < _FEWEST_ELEMENTS:
            return None
        distance = float(_distances(sketch_of(left), sketch_of(right)[None])[0])
        if distance < _FAR:
            return True
        a, b = left.statistics(), right.statistics()
        if a.size != b.size:
            return None
        scale = max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)), 1e-30)
        return bool(np.abs(a - b).max(initial=0) <= _SORTED_NEAR * scale)


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
