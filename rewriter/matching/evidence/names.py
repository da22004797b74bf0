"""Evidence *names*: nodes and tensors that are called as they were when the model was traced.

A name alone proves little: exporters count names up (`add_7`), and a second export or an optimiser
may count differently. So a pair of equal names is valid while both have the same operator, both
read the same weights, and at least one neighbour agrees. A dropped pair no longer supports its
neighbours. Names of weights are counted up, too. So weights are compared by their values if these
are in the record, and otherwise by their names.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from modelexport.hierarchy.record import Op, Record
from modelexport.rewriter.graph.indexed_graph import NONE
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.recorded_names import RecordedNames

NO_WEIGHTS: Mapping[int, frozenset[str]] = {}
"""Nothing is known about the numbers of weights."""

_OTHER_WEIGHTS = "its name is the record's, its weights are not"
_OTHER_SURROUNDINGS = "its name is the record's, the weights around it are not"
_OTHER_NEIGHBOURS = "its name is the record's, its neighbours are not"


@dataclass(frozen=True)
class NameMatch:
    """Nodes of a file and recorded ops of equal names.

    Attributes:
        graph: The nodes of the file.
        names: The recorded names.
        pairs: Nodes to recorded ops, one to one.
        dropped: Nodes that have a recorded name, with the reason why it is not valid.
        counted: Nodes with a name that the exporter counted up (`add_7`). In a related model it may
            be the name of another node.
    """

    graph: ModelGraph
    names: RecordedNames
    pairs: Mapping[int, int]
    dropped: Mapping[int, str]
    counted: frozenset[int] = frozenset()

    def why_unpaired(self, nodes: Iterable[int]) -> dict[int, str]:
        """Why nodes do not pair with a recorded op by name; those that do are left out."""
        return {
            node: self.dropped.get(node) or self.names.why_unpaired(self.graph, node)
            for node in nodes
            if node not in self.pairs
        }


def match_names(
    graph: ModelGraph, record: Record, weights: Mapping[int, frozenset[str]] = NO_WEIGHTS
) -> NameMatch:
    """Pair nodes of a file with recorded ops by what they are called, one to one.

    Args:
        graph: The nodes of the file.
        record: The record.
        weights: Weights of the file to the recorded parameters whose numbers they hold; none for
            a weight that the recorded model does not have.
    """
    names = RecordedNames(record)
    if not names.has_any_of(graph):  # where all were changed this is seen at once
        return NameMatch(graph, names, {}, {})
    parameters = {t.name: t.parameter for t in record.tensors if t.parameter}
    pairing = _Pairing(graph, record.ops, parameters, weights, _pair(graph, names))
    pairing.drop_contradicted()
    counted = frozenset(node for node, op in pairing.pairs.items() if names.is_counted(op))
    return NameMatch(graph, names, pairing.pairs, pairing.dropped, counted)


def _pair(graph: ModelGraph, names: RecordedNames) -> dict[int, int]:
    """Each node with the first recorded op that it can be; outputs' names count first."""
    pairs: dict[int, int] = {}
    used: set[int] = set()
    for candidates in (names.by_output, names.by_name):
        for node in range(len(graph)):
            if node in pairs:
                continue
            op = next((op for op in candidates(graph, node) if op not in used), None)
            if op is not None:
                pairs[node] = op
                used.add(op)
    return pairs


class _Pairing:
    """Drops pairs of equal names until all that are left agree with weights and neighbours.

    Args:
        graph: The nodes of the file.
        ops: The recorded ops.
        parameters: Recorded names of initializers to the parameters that they hold.
        weights: Weights of the file to the parameters whose numbers they hold.
        pairs: Nodes to recorded ops of equal names.

    Attributes:
        pairs: Those that are left.
        dropped: Nodes whose pair was dropped, to the reason.
    """

    def __init__(
        self,
        graph: ModelGraph,
        ops: tuple[Op, ...],
        parameters: Mapping[str, str],
        weights: Mapping[int, frozenset[str]],
        pairs: dict[int, int],
    ) -> None:
        self.pairs = pairs
        self.dropped: dict[int, str] = {}
        self._graph = graph
        self._ops = ops
        self._parameters = parameters
        self._weights = weights

    def drop_contradicted(self) -> None:
        """Drop pairs whose weights or neighbours differ, and pairs among such pairs."""
        votes = {node: self._weight_vote(node) for node in self.pairs}
        for component, balance in self._components_without_weights(votes):
            if balance < 0:
                for node in component:
                    self._drop(node, _OTHER_SURROUNDINGS)
        for node, vote in votes.items():
            if vote < 0:
                self._drop(node, _OTHER_WEIGHTS)
        if any(op.inputs for op in self._ops):
            self._drop_without_neighbour()

    def _drop(self, node: int, reason: str) -> None:
        del self.pairs[node]
        self.dropped[node] = reason

    def _weight_vote(self, node: int) -> int:
        """1 if both of a pair read a common parameter, -1 if they read different ones, else 0.

        It is also -1 if the op reads a parameter and the node only reads results.
        """
        op = self._ops[self.pairs[node]]
        recorded = {self._parameters.get(name) for name in op.inputs} - {None}
        names, values = self._graph.nodes[node].input, self._graph.indexed.inputs[node]
        read = [self._parameters_of(*weight) for weight in zip(names, values, strict=False)]
        in_file = frozenset().union(*(parameters for parameters in read if parameters))
        if in_file & recorded:
            return 1
        is_new = any(parameters is not None and not parameters for parameters in read)
        reads_other = bool(in_file) or all(map(self._is_result, values))
        return -1 if is_new or (reads_other and recorded) else 0

    def _is_result(self, value: int) -> bool:
        """Whether a value is computed from inputs of the model."""
        graph = self._graph.indexed
        return value != NONE and graph.producer[value] != NONE and not graph.is_constant(value)

    def _parameters_of(self, name: str, value: int) -> frozenset[str] | None:
        """The recorded parameters that a value may hold: none for a new weight, None if unknown.

        A result may have the name that a weight had in the recorded file.
        """
        if value in self._weights:
            return self._weights[value]
        if self._is_result(value):
            return None
        parameter = self._parameters.get(name)
        return None if parameter is None else frozenset([parameter])

    def _components_without_weights(
        self, votes: Mapping[int, int]
    ) -> Iterator[tuple[list[int], int]]:
        """Connected pairs that read no weights, with the sum of the votes around them.

        Values that are computed from constants alone do not connect pairs: all modules share them.
        """
        graph = self._graph
        visited: set[int] = set()
        for start, vote in votes.items():
            if vote or start in visited or graph.derived[start]:
                continue
            component, balance, pending = [], 0, [start]
            visited.add(start)
            while pending:
                node = pending.pop()
                component.append(node)
                for other in (*graph.predecessors[node], *graph.successors[node]):
                    balance += votes.get(other, 0)
                    without_weight = votes.get(other) == 0 and not graph.derived[other]
                    if without_weight and other not in visited:
                        visited.add(other)
                        pending.append(other)
            yield component, balance

    def _drop_without_neighbour(self) -> None:
        """Drop pairs that no neighbour agrees with, until all that are left have one."""
        producers = _producers(self._ops)
        pending = list(self.pairs)
        while pending:
            alone = [n for n in set(pending) if n in self.pairs and self._is_alone(n, producers)]
            pending = []
            for node in alone:
                self._drop(node, _OTHER_NEIGHBOURS)
                pending += self._graph.predecessors[node] + self._graph.successors[node]

    def _is_alone(self, node: int, producers: Mapping[tuple[str, str], int]) -> bool:
        """Whether neighbours contradict the pair and none supports it.

        Neighbours that are not in the record (an optimiser added them) do not count.
        """
        op = self._ops[self.pairs[node]]
        around = (*self._graph.predecessors[node], *self._graph.successors[node])
        return not (
            self._predecessor_agrees(node, op, producers)
            or self._input_agrees(node, op)
            or self._successor_agrees(node, op)
        ) and any(other in self.pairs or other in self.dropped for other in around)

    def _predecessor_agrees(
        self, node: int, op: Op, producers: Mapping[tuple[str, str], int]
    ) -> bool:
        in_file = {self.pairs.get(other) for other in self._graph.predecessors[node]} - {None}
        recorded = {
            producers.get((op.graph, name), producers.get(("", name))) for name in op.inputs
        }
        return bool(in_file & recorded)

    def _input_agrees(self, node: int, op: Op) -> bool:
        """Whether both read an input of the graph, or an initializer, of one name."""
        indexed = self._graph.indexed
        names = {
            name
            for name, value in zip(
                self._graph.nodes[node].input, indexed.inputs[node], strict=False
            )
            if value != NONE and indexed.producer[value] == NONE
        }
        return not names.isdisjoint(op.inputs)

    def _successor_agrees(self, node: int, op: Op) -> bool:
        successors = (self.pairs.get(other) for other in self._graph.successors[node])
        return any(
            not set(op.outputs).isdisjoint(self._ops[other].inputs)
            for other in successors
            if other is not None
        )


def _producers(ops: tuple[Op, ...]) -> dict[tuple[str, str], int]:
    """Graph path and name of each value to the op that computes it."""
    return {(op.graph, name): n for n, op in enumerate(ops) for name in op.outputs if name}
