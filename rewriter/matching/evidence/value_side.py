"""The graph of a file or of a record, with what its values hold."""

from collections.abc import Mapping
from functools import cached_property

from modelexport.hierarchy.fingerprints import ValueFingerprint
from modelexport.rewriter.graph.indexed_graph import NONE, IndexedGraph
from modelexport.rewriter.graph.operators import is_scaling, rescales_codes
from modelexport.rewriter.matching.evidence.value_classes import ValueClasses


class ValueSide:
    """The graph of a file or of a record, with what its values hold.

    Args:
        graph: The graph.
        fingerprints: Of its values, by their numbers.

    Attributes:
        graph, fingerprints: As given.
        classes: The classes of its values.
        passed_values: Nodes whose first output holds the numbers of one of their inputs, to that
            input.
    """

    def __init__(self, graph: IndexedGraph, fingerprints: Mapping[int, ValueFingerprint]) -> None:
        self.graph = graph
        self.fingerprints = fingerprints
        self.classes = ValueClasses(fingerprints)
        self.passed_values = self._find_passed_values()

    def has_real_numbers(self, value: int) -> bool:
        """Whether a value is known to hold real numbers."""
        fingerprint = self.fingerprints.get(value)
        return fingerprint is not None and fingerprint.kind == "f"

    def _find_passed_values(self) -> dict[int, int]:
        graph, class_of = self.graph, self.classes.class_of
        distinctive = self.classes.distinctive
        passed: dict[int, int] = {}
        rescaling = {kind for kind in set(graph.op_types) if rescales_codes(kind)}
        for node, kind in enumerate(graph.op_types):
            if kind in rescaling:
                continue
            outputs = [class_of[v] for v in graph.output_values(node) if v in class_of]
            for value in graph.input_values(node):
                number = class_of.get(value)
                if number in outputs and distinctive[number] and not graph.is_constant(value):
                    passed[node] = value
                    break
        return passed

    @cached_property
    def unchanged_values(self) -> dict[int, int]:
        """Those of these nodes that scale a value by a constant and do not change it.

        Sums are left out, although they may look the same: rounding may hide a small bias.
        """
        graph, unchanged = self.graph, {}
        for node, value in self.passed_values.items():
            others = [other for other in graph.input_values(node) if other != value]
            if is_scaling(graph.op_types[node]) and others and all(map(graph.is_constant, others)):
                unchanged[node] = value
        return unchanged

    def computing_nodes(self, number: int) -> list[int]:
        """Nodes that compute a class, without those that only pass it through."""
        producers = (self.graph.producer[value] for value in self.classes.members[number])
        return [n for n in dict.fromkeys(producers) if n != NONE and n not in self.passed_values]

    def computed_classes(self) -> set[int]:
        """Unambiguous classes that nodes compute from the inputs; not the inputs themselves."""
        class_of, graph, unambiguous = self.classes.class_of, self.graph, self.classes.unambiguous
        inputs = {class_of[value] for value in graph.external_inputs if value in class_of}
        computed = {
            number
            for value, number in class_of.items()
            if unambiguous[number] and not graph.is_constant(value)
        }
        return computed - inputs
