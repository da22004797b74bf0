"""Evidence *names*: nodes and tensors that are called as they were when the model was traced.

A name alone proves little: exporters number (`add_7`), and a second export or an optimiser
may number differently. So a pair of equal names counts while the operator is the same, the
weights that both read are the same, and at least one neighbour agrees. A pair that is dropped
no longer speaks for its neighbours.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from modelexport.hierarchy.graph_paths import op_type
from modelexport.hierarchy.record import Op, Record
from modelexport.rewriter.graph.indexed_graph import NONE
from modelexport.rewriter.graph.model_graph import ModelGraph

_Ops = Mapping[str, list[int]]

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
        dropped: Nodes that have a recorded name, to why it does not count.
    """

    graph: ModelGraph
    names: "RecordedNames"
    pairs: Mapping[int, int]
    dropped: Mapping[int, str]

    def why_unpaired(self, nodes: Iterable[int]) -> dict[int, str]:
        """Why nodes do not pair with a recorded op by name; those that do are left out."""
        return {
            node: self.dropped.get(node) or self.names.why_unpaired(self.graph, node)
            for node in nodes
            if node not in self.pairs
        }


class RecordedNames:
    """The recorded ops by their names, and by those of their outputs.

    Args:
        record: The record.
    """

    def __init__(self, record: Record) -> None:
        self.ops = record.ops
        self._by_output: dict[str, list[int]] = {}
        self._by_name: dict[str, list[int]] = {}
        for number, op in enumerate(record.ops):
            for output in filter(None, op.outputs):
                self._by_output.setdefault(output, []).append(number)
            if op.name:
                self._by_name.setdefault(op.name, []).append(number)

    def has_any_of(self, graph: ModelGraph) -> bool:
        """Whether a single name of a file was recorded."""
        nodes = graph.nodes
        return not (
            self._by_output.keys().isdisjoint(output for node in nodes for output in node.output)
            and self._by_name.keys().isdisjoint(node.name for node in nodes)
        )

    def by_output(self, graph: ModelGraph, node: int) -> Iterator[int]:
        """The ops that a node can be, judged by the names of its outputs."""
        known = (self._by_output.get(output) for output in graph.nodes[node].output)
        return (op for ops in known if ops for op in self._fitting(graph, node, ops))

    def by_name(self, graph: ModelGraph, node: int) -> Iterator[int]:
        """The ops that a node can be, judged by its own name."""
        return self._fitting(graph, node, self._by_name.get(graph.nodes[node].name))

    def _fitting(self, graph: ModelGraph, node: int, ops: list[int] | None) -> Iterator[int]:
        """Ops of the node's operator; those in the subgraph of the same path first."""
        if not ops:
            return iter(())
        path, kind = graph.keys[node].graph, op_type(graph.nodes[node])
        fitting = [op for op in ops if self.ops[op].op_type == kind]
        paths = {self.ops[op].graph for op in fitting}
        if len(paths) > 1 and path not in paths:
            return iter(())  # subgraphs may repeat names, and nothing says which one this is
        return iter(sorted(fitting, key=lambda op: self.ops[op].graph != path))

    def why_unpaired(self, graph: ModelGraph, node: int) -> str:
        """Why a node pairs with none of the ops."""
        proto = graph.nodes[node]
        ops = [self._by_output.get(output, []) for output in proto.output]
        ops.append(self._by_name.get(proto.name, []))
        kinds = sorted({self.ops[op].op_type for same_name in ops for op in same_name})
        if not kinds:
            return "the record has no op of its names"
        if op_type(proto) in kinds:
            return "another node has taken the recorded op of its name"
        return f"the record's op of its name is a {' or '.join(kinds)}, not a {op_type(proto)}"


def match_names(graph: ModelGraph, record: Record) -> NameMatch:
    """Pair nodes of a file with recorded ops by what they are called, one to one."""
    names = RecordedNames(record)
    if not names.has_any_of(graph):  # where all were changed this is seen at once
        return NameMatch(graph, names, {}, {})
    parameters = {t.name: t.parameter for t in record.tensors if t.parameter}
    pairing = _Pairing(graph, record.ops, parameters, _pair(graph, names))
    pairing.drop_contradicted()
    return NameMatch(graph, names, pairing.pairs, pairing.dropped)


def _pair(graph: ModelGraph, names: RecordedNames) -> dict[int, int]:
    """Each node with the first recorded op that it can be; outputs' names count first."""
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for candidates in (names.by_output, names.by_name):
        for node in range(len(graph)):
            if node in pairs:
                continue
            op = next((op for op in candidates(graph, node) if op not in taken), None)
            if op is not None:
                pairs[node] = op
                taken.add(op)
    return pairs


class _Pairing:
    """Drops pairs of equal names until all that are left agree with weights and neighbours.

    Args:
        graph: The nodes of the file.
        ops: The recorded ops.
        parameters: Recorded names of initializers to the parameters that they hold.
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
        pairs: dict[int, int],
    ) -> None:
        self.pairs = pairs
        self.dropped: dict[int, str] = {}
        self._graph = graph
        self._ops = ops
        self._parameters = parameters

    def drop_contradicted(self) -> None:
        """Drop pairs that read other weights, that stand among such, or whose neighbours differ."""
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
        """1 when both of a pair read a parameter in common, -1 when they read others, else 0."""
        op = self._ops[self.pairs[node]]
        in_file = {self._parameters.get(name) for name in self._graph.nodes[node].input} - {None}
        recorded = {self._parameters.get(name) for name in op.inputs} - {None}
        if not in_file or not recorded:
            return 0
        return 1 if in_file & recorded else -1

    def _components_without_weights(
        self, votes: Mapping[int, int]
    ) -> Iterator[tuple[list[int], int]]:
        """Connected pairs that read no weights, with the sum of the votes around them.

        What is computed from constants alone connects nothing: every module shares it.
        """
        graph = self._graph
        seen: set[int] = set()
        for start, vote in votes.items():
            if vote or start in seen or graph.derived[start]:
                continue
            component, balance, pending = [], 0, [start]
            seen.add(start)
            while pending:
                node = pending.pop()
                component.append(node)
                for other in (*graph.predecessors[node], *graph.successors[node]):
                    balance += votes.get(other, 0)
                    without_weight = votes.get(other) == 0 and not graph.derived[other]
                    if without_weight and other not in seen:
                        seen.add(other)
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
        """Whether neighbours speak against the pair and not one for it.

        Neighbours that the record does not know (an optimiser's) say nothing.
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
