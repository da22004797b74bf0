"""Evidence *values*: tensors are matched by what they hold on the recorded probe inputs.

Names, order and exporter do not matter. See `value_classes` for how values are compared, and
`quantised_values` for files in which no value holds the recorded numbers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from modelexport.hierarchy.fingerprints import ValueFingerprint, value_fingerprint
from modelexport.hierarchy.graph_paths import MAIN
from modelexport.hierarchy.record import Record
from modelexport.rewriter.graph.indexed_graph import NONE, IndexedGraph
from modelexport.rewriter.graph.operators import rescales_codes
from modelexport.rewriter.matching.evidence.comparison_modes import QUANTISED, ComparisonMode
from modelexport.rewriter.matching.evidence.divergence import find_diverged
from modelexport.rewriter.matching.evidence.quantised_values import QuantisedValues
from modelexport.rewriter.matching.evidence.value_classes import ClassCandidates, match_classes
from modelexport.rewriter.matching.evidence.value_side import ValueSide
from modelexport.rewriter.matching.thresholds import PASS_THROUGH_DISTANCE


@dataclass(frozen=True)
class ValueMatch:
    """What a file computes, compared with what was recorded.

    Attributes:
        file, record: Both sides.
        mode: How exactly they were compared.
        candidates: The recorded classes that each class of the file may be.
        file_share: Share (0-1) of the file's computed values that were recorded. Only unambiguous
            values count.
        record_share: Share (0-1) of the recorded values that the file computes. A file with
            expanded operators computes all of them, and many more.
        rejects_mismatch: Whether a value that differs from the recorded one counts against a pair.
        may_diverge: Whether the file computes with all digits. Then a new value shows that the file
            differs from the recorded model there.
        quantised: A comparison that allows for quantisation, in a file that needs it.
    """

    file: ValueSide
    record: ValueSide
    mode: ComparisonMode
    candidates: ClassCandidates
    file_share: float
    record_share: float
    rejects_mismatch: bool
    may_diverge: bool = False
    quantised: QuantisedValues | None = None

    def as_quantised(self) -> "ValueMatch":
        """The same, with a comparison that allows for quantisation."""
        quantised = QuantisedValues.of(
            self.file.graph, self.record.graph, self.file.fingerprints, self.record.fingerprints
        )
        return replace(self, mode=QUANTISED, rejects_mismatch=False, quantised=quantised)

    def as_related(self) -> "ValueMatch":
        """The same, for a related model: values agree up to the place where the models differ."""
        return replace(self, rejects_mismatch=True, may_diverge=True)

    @cached_property
    def diverged(self) -> frozenset[int]:
        """Nodes of the file with new values, from which no recorded value is computed.

        There the file differs from the recorded model. (After a change by an optimiser, recorded
        values follow.) There are none if a mismatch does not count against a pair.
        """
        if not (self.rejects_mismatch and self.may_diverge):
            return frozenset()
        return find_diverged(self.file.graph, self.is_recorded)

    def is_recorded(self, node: int) -> bool | None:
        """Whether a result of a node is recorded for sure; None when it is not distinctive."""
        numbers = self._unambiguous_results(node)
        return any(self.candidates[n] for n in numbers) if numbers else None

    def is_computed(self, node: int) -> bool | None:
        """Whether a result of a node was computed when it was recorded, and not given as an input.

        None when it is not distinctive.
        """
        numbers = self._unambiguous_results(node)
        if not numbers:
            return None
        return any(self.record.computing_nodes(r) for n in numbers for r in self.candidates[n])

    def _unambiguous_results(self, node: int) -> list[int]:
        """The classes of a node's results that are distinctive and like no other class."""
        classes = self.file.classes
        numbers = (classes.class_of.get(value) for value in self.file.graph.output_values(node))
        return [n for n in numbers if n is not None and classes.unambiguous[n]]

    @cached_property
    def _without_verdict(self) -> frozenset[int]:
        """Nodes whose results must differ, because their inputs differ."""
        graph, diverged = self.file.graph, self.diverged
        return frozenset(
            node
            for node in diverged
            if any(graph.producer[value] in diverged for value in graph.input_values(node))
        )

    def calibrated(self, pairs: Mapping[int, int]) -> "ValueMatch":
        """The same, relying on quantised values as far as some known pairs allow.

        Args:
            pairs: Nodes to the recorded ops that they are.
        """
        if self.quantised is None:
            return self
        return replace(self, quantised=self.quantised.calibrated(pairs))

    def candidate_classes(self, value: int) -> dict[int, float]:
        """The recorded classes that a value of the file may be, with the distance."""
        number = self.file.classes.class_of.get(value)
        return {} if number is None else self.candidates[number]

    def values_agree(self, value: int, recorded: int) -> bool | None:
        """Whether a value of the file may be a recorded one; None when one is not known."""
        number = self.record.classes.class_of.get(recorded)
        if number is None or value not in self.file.classes.class_of:
            return None
        return number in self.candidate_classes(value)

    def compatible(self, node: int, op: int) -> bool | None:
        """Whether a node may be a recorded op, judged by their outputs; None for unknown."""
        compared = False
        codes = rescales_codes(self.file.graph.op_types[node])
        for value in () if codes else self.file.graph.output_values(node):
            for recorded in self.record.graph.output_values(op):
                agree = self.values_agree(value, recorded)
                if agree:
                    return True
                compared = compared or agree is not None
        if compared and self.rejects_mismatch and self._has_verdict(node):
            return False
        return None if self.quantised is None else self.quantised.compatible(node, op)

    def _has_verdict(self, node: int) -> bool:
        """Whether a node must compute a recorded value if it is a recorded op."""
        if node in self._without_verdict:
            return False
        return self._same_inputs or not self.file.graph.derived[node]

    @cached_property
    def _same_inputs(self) -> bool:
        """Whether file and record read the same inputs.

        If not, lengths may differ: for example, positions begin after a cache in only one of them.
        Then values that depend only on shapes differ, too.
        """
        inputs = self.file.graph.external_inputs, self.record.graph.external_inputs
        return all(
            any(self.values_agree(value, recorded) is not False for recorded in inputs[1])
            for value in inputs[0]
        ) and all(
            any(self.values_agree(value, recorded) is not False for value in inputs[0])
            for recorded in inputs[1]
        )

    def same_shape(self, node: int, op: int) -> bool:
        """Whether an output of a node has the shape of an output of a recorded op."""
        return not _output_shapes(self.file, node).isdisjoint(_output_shapes(self.record, op))

    def candidate_ops(self, node: int) -> dict[int, float]:
        """The recorded ops that compute what a node computes, with the distance.

        There are none for a node whose outputs are not distinctive, or that passes an input on.
        """
        classes = self.file.classes
        inputs = {
            classes.class_of[value]
            for value in self.file.graph.input_values(node)
            if value in classes.class_of
        }
        ops: dict[int, float] = {}
        for value in self.file.graph.output_values(node):
            number = classes.class_of.get(value)
            if number is None or not classes.distinctive[number]:
                continue
            for recorded, distance in self.candidates[number].items():
                if self._passes_through(number, recorded, inputs):
                    continue
                for op in self.record.computing_nodes(recorded):
                    if self._same_role(node, op):
                        ops[op] = min(distance, ops.get(op, distance))
        return ops

    def _passes_through(self, number: int, recorded: int, inputs: set[int]) -> bool:
        """Whether a node only rounds one of its inputs, and this input matches a recorded class."""
        similar = (other for other in inputs if recorded in self.candidates[other])
        distance = self.file.classes.distance
        return any(distance(number, other) <= PASS_THROUGH_DISTANCE for other in similar)

    def _same_role(self, node: int, op: int) -> bool:
        """Whether both are constant or neither is, and both hold subgraphs or neither does."""
        file, record = self.file.graph, self.record.graph
        if record.derived[op] != file.derived[node]:
            return False
        return (op in record.control_flow_nodes) == (node in file.control_flow_nodes)

    def is_unambiguous(self, node: int) -> bool:
        """Whether an output of a node is matched without looking at its neighbours."""
        return bool(self._unambiguous_results(node))


def match_values(file: ValueSide, record: ValueSide, mode: ComparisonMode) -> ValueMatch:
    """Compare what a file computes with what was recorded."""
    candidates = match_classes(file.classes, record.classes, mode.tolerance)
    computed, recorded = file.computed_classes(), record.computed_classes()
    matched = sum(bool(candidates[number]) for number in computed)
    recalled = recorded & {other for number in computed for other in candidates[number]}
    file_share = matched / len(computed) if computed else 0.0
    record_share = len(recalled) / len(recorded) if recorded else 0.0
    return ValueMatch(
        file,
        record,
        mode,
        candidates,
        file_share,
        record_share,
        mode.rejects_mismatch(file_share, record_share),
    )


def recorded_fingerprints(record: Record, graph: IndexedGraph) -> dict[int, ValueFingerprint]:
    """Fingerprints of the recorded values and of the probe inputs, by their number in the graph."""
    fingerprints = {}
    for probe in record.probe.inputs:
        value, fingerprint = graph.value_of(MAIN, probe.name), value_fingerprint(probe.to_array())
        if value != NONE and fingerprint is not None:
            fingerprints[value] = fingerprint
    for node, op in enumerate(record.ops):
        pairs = zip(graph.outputs[node], op.values, strict=False)
        fingerprints |= {
            v: fingerprint for v, fingerprint in pairs if fingerprint is not None and v != NONE
        }
    return fingerprints


def _output_shapes(side: ValueSide, node: int) -> set[tuple[int, ...]]:
    fingerprints = (side.fingerprints.get(value) for value in side.graph.output_values(node))
    return {fingerprint.shape for fingerprint in fingerprints if fingerprint is not None}
