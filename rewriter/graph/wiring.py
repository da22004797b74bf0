"""Operators and the values between them, in the form that a file and a record have in common."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from modelexport.hierarchy.graph_paths import MAIN, op_type
from modelexport.hierarchy.record import EAGER, Record
from modelexport.rewriter.graph.flow import SHAPE_SOURCES, Flow
from modelexport.rewriter.graph.ownership import weight_names

Row = tuple[str, str, Iterable[str], Iterable[str]]
"""Graph path, operator, inputs and outputs of a node."""

Scoped = tuple[str, str]
"""Graph path and name of a value."""

NONE = -1


@dataclass(eq=False)
class Wiring:
    """A model as numbered operators and numbered values.

    A name is looked up in its graph, then in those around it, as ONNX does it. A node that
    holds bodies reads what its bodies capture.

    Attributes:
        kinds: Operator of each node, its domain in front when that is not the default one.
        graphs: Path of the graph of each node.
        inputs, outputs: Values of each node, `NONE` for an omitted one.
        names: Graph path and name of each value.
        maker: Node that makes each value, `NONE` for inputs and weights.
        users: Nodes that read each value, each once.
        weights: Values that are initializers.
        derived: Whether a node depends on nothing but constants and the shapes of values.
        given: Values that come from outside: inputs of the model, and of bodies.
        holding: Nodes that hold bodies: they give back what was computed inside.
        results: Values that graphs and functions give back; not known of a record.
        speaks_torch: Whether operators have torch's names, which say nothing about ONNX's.
    """

    kinds: list[str] = field(default_factory=list)
    graphs: list[str] = field(default_factory=list)
    inputs: list[list[int]] = field(default_factory=list)
    outputs: list[list[int]] = field(default_factory=list)
    names: list[Scoped] = field(default_factory=list)
    maker: list[int] = field(default_factory=list)
    users: list[list[int]] = field(default_factory=list)
    weights: set[int] = field(default_factory=set)
    derived: list[bool] = field(default_factory=list)
    given: set[int] = field(default_factory=set)
    holding: set[int] = field(default_factory=set)
    results: set[int] = field(default_factory=set)
    speaks_torch: bool = False
    _numbers: dict[Scoped, int] = field(default_factory=dict)
    _reads: list[list[int]] = field(default_factory=list)
    _makes: list[list[int]] = field(default_factory=list)

    @classmethod
    def of_model(cls, flow: Flow) -> "Wiring":
        """The wiring of a file; nodes are numbered as in its `Flow`."""
        rows = (
            (key.graph, op_type(node), node.input, node.output)
            for key, node in zip(flow.keys, flow.nodes, strict=True)
        )
        wiring = cls._of(list(rows), weight_names(flow.places))
        for place in flow.places:
            for output in place.graph.output:
                name = output if isinstance(output, str) else output.name
                wiring.results.add(wiring.number(place.path, name))
        return wiring

    @classmethod
    def of_record(cls, record: Record) -> "Wiring":
        """The wiring of the recorded graph; nodes are numbered like the record's ops."""
        rows: list[Row] = [(op.graph, op.op_type, op.inputs, op.outputs) for op in record.ops]
        wiring = cls._of(rows, ((tensor.graph, tensor.name) for tensor in record.tensors))
        wiring.speaks_torch = record.source.exporter == EAGER
        return wiring

    def __len__(self) -> int:
        return len(self.kinds)

    def number(self, graph: str, name: str) -> int:
        """The value of a name as a graph sees it; `NONE` when there is none."""
        path: str | None = graph
        while path is not None:
            found = self._numbers.get((path, name))
            if found is not None:
                return found
            path = parent(path)
        return NONE

    def reads(self, node: int) -> Sequence[int]:
        """The values that a node reads."""
        return self._reads[node]

    def makes(self, node: int) -> Sequence[int]:
        """The values that a node makes."""
        return self._makes[node]

    def constant(self, value: int) -> bool:
        """Whether a value depends on no input."""
        maker = self.maker[value]
        return value in self.weights if maker == NONE else self.derived[maker]

    def alive(self) -> set[int]:
        """Nodes whose work reaches a result of the model."""
        waiting = [self.maker[value] for value in self.results if value != NONE]
        found: set[int] = set()
        while waiting:
            node = waiting.pop()
            if node == NONE or node in found:
                continue
            found.add(node)
            waiting += [self.maker[value] for value in self.reads(node)]
        return found

    @classmethod
    def _of(cls, rows: list[Row], weights: Iterable[Scoped]) -> "Wiring":
        wiring = cls()
        for graph, name in weights:
            wiring.weights.add(wiring._define(graph, name, NONE))
        for node, (graph, kind, _, outputs) in enumerate(rows):
            wiring.kinds.append(kind)
            wiring.graphs.append(graph)
            wiring.outputs.append(
                [wiring._define(graph, name, node) if name else NONE for name in outputs]
            )
        wiring._connect(rows)
        wiring._reads = [_given(values) for values in wiring.inputs]
        wiring._makes = [_given(values) for values in wiring.outputs]
        wiring._find_derived()
        return wiring

    def _define(self, graph: str, name: str, maker: int) -> int:
        number = self._numbers.get((graph, name))
        if number is None:
            number = self._numbers[graph, name] = len(self.names)
            self.names.append((graph, name))
            self.maker.append(maker)
            self.users.append([])
        elif maker != NONE:
            self.maker[number] = maker
        return number

    def _connect(self, rows: list[Row]) -> None:
        holders = _holders(self.graphs)
        self.holding = set(holders.values())
        for node, (graph, _, inputs, _) in enumerate(rows):
            found = []
            for name in inputs:
                if not name:
                    found.append(NONE)
                    continue
                value = self._numbers.get((graph, name), NONE)
                if value == NONE:
                    value = self.number(graph, name)
                if value == NONE:
                    value = self._define(graph, name, NONE)
                    self.given.add(value)
                found.append(value)
                users = self.users[value]
                if not users or users[-1] != node:
                    users.append(node)
            self.inputs.append(found)
        for node, graph in enumerate(self.graphs):
            self._capture(node, graph, holders)

    def _capture(self, node: int, graph: str, holders: dict[str, int]) -> None:
        """Let the nodes that hold a body read what a node in it takes from outside."""
        while (holder := holders.get(graph)) is not None:
            for value in _given(self.inputs[node]):
                if not self.names[value][0].startswith(graph) and value not in self.weights:
                    self.inputs[holder].append(value)
                    self.users[value].append(holder)
            graph = self.graphs[holder]

    def _find_derived(self) -> None:
        derived, maker, weights = self.derived, self.maker, self.weights
        for node, kind in enumerate(self.kinds):
            settled = node not in self.holding
            for value in self._reads[node] if settled else ():
                made = maker[value]
                settled = value in weights if made == NONE else made < node and derived[made]
                if not settled:
                    break
            derived.append(settled or kind in SHAPE_SOURCES)


def _given(values: list[int]) -> list[int]:
    """Those that are not omitted."""
    return [value for value in values if value != NONE] if NONE in values else values


def parent(path: str) -> str | None:
    """The graph around a graph; None for the main graph and functions."""
    if path == MAIN:
        return None
    above, slash, _ = path.rpartition("/")
    return above if slash else None


def by_graph(wiring: Wiring) -> dict[str, list[int]]:
    """The nodes of each graph, in their order."""
    found: dict[str, list[int]] = {}
    for node, graph in enumerate(wiring.graphs):
        found.setdefault(graph, []).append(node)
    return found


def _holders(graphs: list[str]) -> dict[str, int]:
    """Path of each body to the number of the node that holds it."""
    start: dict[str, int] = {}
    for node, graph in enumerate(graphs):
        start.setdefault(graph, node)
    found = {}
    for path in start:
        above = parent(path)
        if above is not None and above in start:
            position = path[len(above) + 1 :].partition(".")[0]
            if position.isdigit():
                found[path] = start[above] + int(position)
    return found
