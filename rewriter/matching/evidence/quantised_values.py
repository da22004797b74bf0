"""Values of a quantised file, matched by the direction and length of their sketches.

Quantising changes every number, and deeper in the graph it changes more. So a value is compared
with all recorded values of its size. No distance proves a pair: it counts for or against it, and
the neighbours decide. A value that is stored in 8 bits has a scale and a zero point of its own.
Their effect is removed, and the direction is compared.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from modelexport.hierarchy.fingerprints import ValueFingerprint
from modelexport.hierarchy.sketches import value_sketch_of_ones
from modelexport.rewriter.graph.indexed_graph import NONE, IndexedGraph
from modelexport.rewriter.matching.thresholds import (
    CALIBRATION_MEDIAN,
    CALIBRATION_NINETIETH,
    EIGHT_BITS,
    FAR_SKETCH,
    MINIMUM_SKETCHED_ELEMENTS,
    MINIMUM_STEPS,
    NEAR_SKETCH,
    NEAREST_FACTOR,
    SKETCH_NOISE,
    SORTED_NEAR,
)

_Vector = npt.NDArray[np.float64]
_Matrix = npt.NDArray[np.float64]

_TINY = 1e-30
"""Stands in for a length of zero, so that nothing is divided by zero."""


class _RecordedSketches:
    """Sketches of the recorded real values, by their number of elements.

    Args:
        graph: The record.
        fingerprints: Of its values.
    """

    def __init__(self, graph: IndexedGraph, fingerprints: Mapping[int, ValueFingerprint]) -> None:
        self._fingerprints = fingerprints
        self.values: dict[int, list[int]] = {}
        for value, fingerprint in fingerprints.items():
            if fingerprint.sketch and fingerprint.kind == "f" and not graph.is_constant(value):
                self.values.setdefault(fingerprint.size, []).append(value)
        self._sketches: dict[int, _Matrix] = {}
        self._directions: dict[int, _Matrix] = {}

    def of_size(self, size: int) -> _Matrix:
        """Those of all values of a size, one a row."""
        if size not in self._sketches:
            fingerprints = (self._fingerprints[value] for value in self.values[size])
            self._sketches[size] = np.stack([_sketch(fingerprint) for fingerprint in fingerprints])
        return self._sketches[size]

    def directions_of(self, size: int) -> _Matrix:
        """Their directions, one a row."""
        if size not in self._directions:
            fingerprints = (self._fingerprints[value] for value in self.values[size])
            self._directions[size] = np.stack(
                [_direction(fingerprint) for fingerprint in fingerprints]
            )
        return self._directions[size]


@dataclass(frozen=True)
class QuantisedValues:
    """Compares the values of a quantised file with recorded ones.

    Attributes:
        file_graph, record_graph: The graphs of the file and of the record.
        file, record: Fingerprints of their values.
        sketches: The recorded sketches.
        rejects_mismatch: Whether values that are far apart count against a pair.
    """

    file_graph: IndexedGraph
    record_graph: IndexedGraph
    file: Mapping[int, ValueFingerprint]
    record: Mapping[int, ValueFingerprint]
    sketches: _RecordedSketches
    rejects_mismatch: bool = False

    @classmethod
    def of(
        cls,
        file_graph: IndexedGraph,
        record_graph: IndexedGraph,
        file: Mapping[int, ValueFingerprint],
        record: Mapping[int, ValueFingerprint],
    ) -> "QuantisedValues":
        """A comparison in which values that are far apart do not yet count against a pair."""
        sketches = _RecordedSketches(record_graph, record)
        return cls(file_graph, record_graph, file, record, sketches)

    def calibrated(self, pairs: Mapping[int, int]) -> "QuantisedValues | None":
        """The same comparison, relied on as far as the distances of known pairs allow.

        Args:
            pairs: Nodes to the recorded ops that they are.

        Returns:
            None where the pairs' values are so far apart, or so few, that values say nothing.
        """
        compared = (self.distance(node, op) for node, op in pairs.items())
        distances = sorted(distance for distance in compared if distance is not None)
        if not distances or distances[len(distances) // 2] > CALIBRATION_MEDIAN:
            return None
        ninetieth = distances[len(distances) * 9 // 10]
        return replace(self, rejects_mismatch=ninetieth <= CALIBRATION_NINETIETH)

    def candidate_ops(self, node: int) -> dict[int, float]:
        """Recorded ops whose results are near a node's, with the distance."""
        ops: dict[int, float] = {}
        for value in self.file_graph.output_values(node):
            fingerprint = self.file.get(value)
            if fingerprint is None or fingerprint.size < MINIMUM_SKETCHED_ELEMENTS:
                continue
            distances = self._distances(fingerprint)
            if distances is None:
                continue
            limit = min(NEAR_SKETCH, NEAREST_FACTOR * float(distances.min()) + SKETCH_NOISE)
            recorded = self.sketches.values[fingerprint.size]
            for place in np.nonzero(distances <= limit)[0]:
                op = self.record_graph.producer[recorded[place]]
                if op != NONE:
                    distance = float(distances[place])
                    ops[op] = min(distance, ops.get(op, distance))
        return ops

    def _distances(self, fingerprint: ValueFingerprint) -> _Vector | None:
        """How far a value is from each recorded one of its size; None if it does not compare."""
        if fingerprint.size not in self.sketches.values:
            return None
        if fingerprint.kind == "f":
            return _relative_distances(
                _sketch(fingerprint), self.sketches.of_size(fingerprint.size)
            )
        if _is_stored_in_eight_bits(fingerprint):
            return _relative_distances(
                _direction(fingerprint), self.sketches.directions_of(fingerprint.size)
            )
        return None

    def distance(self, node: int, op: int) -> float | None:
        """How far the results of a node and of a recorded op are apart; None for unknown.

        The distance of two sketches, over the longer one.
        """
        distances = (self._distance(*pair) for pair in self._output_pairs(node, op))
        return min((distance for distance in distances if distance is not None), default=None)

    def _distance(self, value: int, recorded: int) -> float | None:
        ours, theirs = self.file.get(value), self.record.get(recorded)
        if ours is None or theirs is None or ours.size != theirs.size or theirs.kind != "f":
            return None
        if not ours.sketch or not theirs.sketch:
            return None
        if ours.kind == "f":
            return float(_relative_distances(_sketch(ours), _sketch(theirs)[None])[0])
        if not _is_stored_in_eight_bits(ours):
            return None
        return float(_relative_distances(_direction(ours), _direction(theirs)[None])[0])

    def compatible(self, node: int, op: int) -> bool | None:
        """Whether a node may be a recorded op; None where their values do not tell."""
        verdicts = [self._values_agree(*pair) for pair in self._output_pairs(node, op)]
        if any(verdicts):
            return True
        return False if self.rejects_mismatch and False in verdicts else None

    def _values_agree(self, value: int, recorded: int) -> bool | None:
        """Whether a value may be a recorded one; None where they do not tell."""
        ours, theirs = self.file.get(value), self.record.get(recorded)
        if ours is None or theirs is None:
            return None
        eight_bits = theirs.kind == "f" and _is_stored_in_eight_bits(ours)
        if ours.kind != theirs.kind and not eight_bits:
            return None
        if ours.size != theirs.size:
            return False
        if ours.size < MINIMUM_SKETCHED_ELEMENTS:
            return None
        distance = self._distance(value, recorded)
        if distance is None:
            return None
        if distance < FAR_SKETCH:
            return True
        return None if eight_bits else _sorted_values_agree(ours, theirs)

    def _output_pairs(self, node: int, op: int) -> Iterable[tuple[int, int]]:
        """Each output of a node with each output of a recorded op."""
        for value in self.file_graph.output_values(node):
            for recorded in self.record_graph.output_values(op):
                yield value, recorded


def _sorted_values_agree(ours: ValueFingerprint, theirs: ValueFingerprint) -> bool | None:
    """Whether order statistics are near; None if their numbers differ."""
    a, b = ours.statistics(), theirs.statistics()
    if a.size != b.size:
        return None
    scale = max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)))
    return bool(np.abs(a - b).max(initial=0) <= SORTED_NEAR * scale)


def _is_stored_in_eight_bits(fingerprint: ValueFingerprint) -> bool:
    """Whether a value may be real numbers, stored in 8 bits."""
    if fingerprint.kind not in {"i", "u"} or not fingerprint.sketch:
        return False
    statistics = fingerprint.statistics()
    least, greatest = EIGHT_BITS
    return bool(
        statistics[0] >= least
        and statistics[-1] <= greatest
        and np.unique(statistics).size >= MINIMUM_STEPS
    )


def _sketch(fingerprint: ValueFingerprint) -> _Vector:
    return np.frombuffer(fingerprint.sketch, "<f4").astype(np.float64)


def _direction(fingerprint: ValueFingerprint) -> _Vector:
    """A sketch without what a zero point adds, scaled to length 1."""
    sketch = _sketch(fingerprint)
    ones = value_sketch_of_ones(fingerprint.size).astype(np.float64)
    ones = ones / max(float(np.linalg.norm(ones)), _TINY)
    rest = sketch - (sketch @ ones) * ones
    direction: _Vector = rest / max(float(np.linalg.norm(rest)), _TINY)
    return direction


def _relative_distances(sketch: _Vector, others: _Matrix) -> _Vector:
    """The distance of a sketch from each of some others, over the longer of the two."""
    lengths = np.maximum(np.linalg.norm(others, axis=1), np.linalg.norm(sketch))
    distances: _Vector = np.linalg.norm(others - sketch, axis=1) / np.maximum(lengths, _TINY)
    return distances
