"""The two graphs of an alignment, and how their values and weights compare."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from modelexport.rewriter.graph.graph_view import GraphView
from modelexport.rewriter.graph.indexed_graph import IndexedGraph
from modelexport.rewriter.graph.operators import real_operator
from modelexport.rewriter.matching.evidence.values import ValueMatch


@dataclass(frozen=True, eq=False)
class GraphPair:
    """A file and a record, as the alignment sees them.

    Attributes:
        file, record: Their graphs.
        values: What both compute, compared; None when that is not known.
        weights: Initializers of the file to the recorded initializers that they may be.
        inputs: Inputs of the file to recorded inputs.
        new_nodes: Nodes of modules that the record does not have.
        plain_weights: Initializers of the file whose numbers are all equal: many modules have such
            weights.
    """

    file: GraphView
    record: GraphView
    values: ValueMatch | None = None
    weights: Mapping[int, frozenset[int]] = field(default_factory=dict)
    inputs: Mapping[int, int] = field(default_factory=dict)
    new_nodes: frozenset[int] = frozenset()
    plain_weights: frozenset[int] = frozenset()

    def is_auxiliary(self, node: int) -> bool:
        """Whether a node only passes values through, or depends on no input.

        Such nodes are aligned last, edge by edge: exporters and optimisers add and drop them.
        """
        return self.file.pass_through[node] or self.file.graph.derived[node]

    def has_diverged(self, node: int) -> bool:
        """Whether a node computes something new, from which nothing recorded follows."""
        return self.values is not None and node in self.values.diverged

    def compatible(self, node: int, op: int) -> bool | None:
        """Whether the values of a node and of a recorded op agree; None when it is not known."""
        return None if self.values is None else self.values.compatible(node, op)

    def same_op_type(self, node: int, op: int) -> bool:
        """Whether a node and a recorded op have the same operator, quantised or not."""
        file, record = self._operators
        return file[node] == record[op]

    @cached_property
    def _operators(self) -> tuple[list[str], list[str]]:
        """The operator on real numbers of each node and of each recorded op."""
        file, record = self.file.graph.op_types, self.record.graph.op_types
        real = {kind: real_operator(kind) for kind in {*file, *record}}
        return [real[kind] for kind in file], [real[kind] for kind in record]

    def reads_telling_weight(self, node: int) -> bool:
        """Whether a node reads a recorded weight that distinguishes it from other nodes."""
        weights = self.weights.keys() - self.plain_weights
        return any(value in weights for value in self.file.inputs(node))

    def initializers_of(self, node: int) -> set[int]:
        """The recorded initializers that the initializers of a node may be."""
        initializers: set[int] = set()
        for value in self.file.inputs(node):
            initializers |= self.weights.get(value, frozenset())
        return initializers


def match_inputs(
    file: IndexedGraph, record: IndexedGraph, values: ValueMatch | None
) -> dict[int, int]:
    """Inputs of a file to the recorded inputs: by what they were fed, else by name."""
    recorded = {record.value_names[value]: value for value in record.external_inputs}
    matches = {}
    for value in file.external_inputs:
        agreeing = [
            other for other in recorded.values() if values and values.values_agree(value, other)
        ]
        named = recorded.get(file.value_names[value])
        if len(agreeing) == 1:
            matches[value] = agreeing[0]
        elif named is not None and (not agreeing or named in agreeing):
            matches[value] = named
    return matches
