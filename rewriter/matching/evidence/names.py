"""Evidence *names*: nodes and tensors that are called as they were when the model was traced.

A name alone proves little: exporters number (`add_7`), and a second export or an optimiser
may number differently. So a pair of equal names counts while the operator is the same, the
weights that both read are the same, and at least one neighbour agrees; a pair that falls
takes its vote for its neighbours with it.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property

from modelexport.hierarchy.graph_paths import op_type
from modelexport.hierarchy.record import Op, Record
from modelexport.rewriter.graph.indexed_graph import NONE
from modelexport.rewriter.graph.model_graph import ModelGraph


class Names:
    """Pairs nodes of a file with recorded ops by what they are called, one to one."""

    def __init__(self, graph: ModelGraph, record: Record) -> None:
        self._graph = graph
        self._ops = record.ops
        self._parameters = {t.name: t.parameter for t in record.tensors if t.parameter}
        self._dropped: dict[int, str] = {}
        self.pairs: dict[int, int] = {}
        if self._have_any_in_common():
            self.pairs = self._pair()
            self._drop_contradicted()

    @cached_property
    def _outputs(self) -> dict[str, list[int]]:
        """The recorded ops that make a tensor of each name."""
        found: dict[str, list[int]] = {}
        for number, op in enumerate(self._ops):
            for output in filter(None, op.outputs):
                found.setdefault(output, []).append(number)
        return found

    @cached_property
    def _names(self) -> dict[str, list[int]]:
        """The recorded ops of each name."""
        found: dict[str, list[int]] = {}
        for number, op in enumerate(self._ops):
            if op.name:
                found.setdefault(op.name, []).append(number)
        return found

    def _have_any_in_common(self) -> bool:
        """Whether a single name was recorded; where all were changed that is seen at once."""
        nodes = self._graph.nodes
        return not (
            self._outputs.keys().isdisjoint(output for node in nodes for output in node.output)
            and self._names.keys().isdisjoint(node.name for node in nodes)
        )

    def why_not(self, nodes: Iterable[int]) -> dict[int, str]:
        """Why nodes do not pair with a recorded op by name; nothing of those that do."""
        return {n: self._dropped.get(n) or self._unpaired(n) for n in nodes if n not in self.pairs}

    def _pair(self) -> dict[int, int]:
        """Each node with the first recorded op that it can be, best kind of name first."""
        pairs: dict[int, int] = {}
        taken: set[int] = set()
        for candidates in (self._by_output, self._by_name):
            for number in range(len(self._graph)):
                if number in pairs:
                    continue
                partner = next((c for c in candidates(number) if c not in taken), None)
                if partner is not None:
                    pairs[number] = partner
                    taken.add(partner)
        return pairs

    def _by_output(self, number: int) -> Iterator[int]:
        known = (self._outputs.get(output) for output in self._graph.nodes[number].output)
        return (p for partners in known if partners for p in self._fitting(number, partners))

    def _by_name(self, number: int) -> Iterator[int]:
        name = self._graph.nodes[number].name
        return self._fitting(number, self._names.get(name, []) if name else [])

    def _fitting(self, number: int, partners: list[int]) -> Iterator[int]:
        """Partners of the same operator; those in the graph of the same path come first."""
        if not partners:
            return iter(())
        graph, kind = self._graph.keys[number].graph, op_type(self._graph.nodes[number])
        fitting = [p for p in partners if self._ops[p].op_type == kind]
        if len({self._ops[p].graph for p in fitting} - {graph}) > 1 and not any(
            self._ops[p].graph == graph for p in fitting
        ):
            return iter(())  # subgraphs may repeat names, and nothing says which subgraph this is
        return iter(sorted(fitting, key=lambda p: self._ops[p].graph != graph))

    def _unpaired(self, number: int) -> str:
        node = self._graph.nodes[number]
        others = [self._outputs.get(output, []) for output in node.output if output]
        others.append(self._names.get(node.name, []) if node.name else [])
        types = sorted({self._ops[p].op_type for partners in others for p in partners})
        if not types:
            return "the record has no op of its names"
        if op_type(node) in types:
            return "another node has taken the recorded op of its name"
        return f"the record's op of its name is a {' or '.join(types)}, not a {op_type(node)}"

    def _drop_contradicted(self) -> None:
        """Take pairs apart until all that are left agree with their weights and neighbours."""
        votes = {number: self._weights_agree(number) for number in self.pairs}
        for component, balance in self._between_weights(votes):
            if balance < 0:
                for number in component:
                    self._drop(number, "its name is the record's, the weights around it are not")
        for number, vote in votes.items():
            if vote < 0:
                self._drop(number, "its name is the record's, its weights are not")
        if any(op.inputs for op in self._ops):
            self._drop_lonely()

    def _drop_lonely(self) -> None:
        makers = _makers(self._ops)
        waiting = list(self.pairs)
        while waiting:
            fallen = [n for n in set(waiting) if n in self.pairs and self._alone(n, makers)]
            waiting = []
            for number in fallen:
                self._drop(number, "its name is the record's, its neighbours are not")
                waiting += self._graph.predecessors[number] + self._graph.successors[number]

    def _between_weights(self, votes: dict[int, int]) -> Iterator[tuple[list[int], int]]:
        """Connected pairs that read no weights, with the sum of the votes around them.

        What is computed from constants alone connects nothing: everybody shares it.
        """
        seen: set[int] = set()
        for start, vote in votes.items():
            if vote or start in seen or self._graph.derived[start]:
                continue
            component, balance, waiting = [], 0, [start]
            seen.add(start)
            while waiting:
                number = waiting.pop()
                component.append(number)
                for other in (*self._graph.predecessors[number], *self._graph.successors[number]):
                    balance += votes.get(other, 0)
                    free = votes.get(other) == 0 and not self._graph.derived[other]
                    if free and other not in seen:
                        seen.add(other)
                        waiting.append(other)
            yield component, balance

    def _drop(self, number: int, reason: str) -> None:
        del self.pairs[number]
        self._dropped[number] = reason

    def _weights_agree(self, number: int) -> int:
        """1 when both read a parameter in common, -1 when they read others, else 0."""
        op = self._ops[self.pairs[number]]
        here = {self._parameters.get(name) for name in self._graph.nodes[number].input} - {None}
        there = {self._parameters.get(name) for name in op.inputs} - {None}
        if not here or not there:
            return 0
        return 1 if here & there else -1

    def _alone(self, number: int, makers: dict[tuple[str, str], int]) -> bool:
        """Whether neighbours speak against the pair and not one for it.

        Neighbours that the record does not know (an optimiser's) say nothing.
        """
        node, op = self._graph.nodes[number], self._ops[self.pairs[number]]
        here = {self.pairs.get(maker) for maker in self._graph.predecessors[number]} - {None}
        there = {makers.get((op.graph, name), makers.get(("", name))) for name in op.inputs}
        if here & (there - {None}):
            return False
        indexed = self._graph.indexed
        plain = {
            name
            for name, value in zip(node.input, indexed.inputs[number], strict=False)
            if value != NONE and indexed.producer[value] == NONE
        }
        if plain & set(op.inputs):
            return False
        if any(self._used_by_pair(number, user) for user in self._graph.successors[number]):
            return False
        around = (*self._graph.predecessors[number], *self._graph.successors[number])
        return any(n in self.pairs or n in self._dropped for n in around)

    def _used_by_pair(self, number: int, user: int) -> bool:
        partner = self.pairs.get(user)
        if partner is None:
            return False
        return not set(self._ops[self.pairs[number]].outputs).isdisjoint(self._ops[partner].inputs)


def _makers(ops: tuple[Op, ...]) -> dict[tuple[str, str], int]:
    """(graph path, value name) to the op that makes the value."""
    return {(op.graph, name): n for n, op in enumerate(ops) for name in op.outputs if name}
