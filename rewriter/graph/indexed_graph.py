"""A graph whose nodes and values have numbers: who produces and who consumes each value.

A file and a record are indexed in the same form, so that the matcher can compare them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from modelexport.hierarchy.choices import RecordExporter
from modelexport.hierarchy.graph_paths import parent_graph, split_subgraph_path
from modelexport.hierarchy.record import Record
from modelexport.rewriter.graph.operators import SHAPE_OPERATORS, returns_scales

NodeRow = tuple[str, str, Iterable[str], Iterable[str]]
"""Graph path, operator, input names and output names of a node."""

ScopedName = tuple[str, str]
"""Graph path and name of a value."""

NONE = -1
"""Stands for an omitted input or output, and for the producer of a value that no node computes."""


class IndexedGraph:
    """The nodes and values of a model, subgraphs and functions included, as numbers.

    A name is looked up in its graph, then in the graphs around it, as ONNX does it. A node with
    subgraphs (If, Loop, Scan) also reads what these capture from outside. An input that no node of
    its own graph reads has no number there; each subgraph that reads it has a value for it.

    Args:
        rows: The nodes. Each row's index becomes the node's number.
        initializers: Graph path and name of each initializer.
        graph_outputs: Graph path and name of what each graph and function returns.
        subgraph_inputs: Input names of each subgraph, by its path. They hide outer names.
        has_torch_op_types: Whether operators have torch's names, which do not compare with ONNX's.

    Attributes:
        op_types: Operator of each node, its domain in front when that is not the default one.
        graph_paths: Path of the graph of each node.
        inputs, outputs: Values of each node, `NONE` for an omitted one. For a node with subgraphs,
            the captured values follow after its own inputs.
        value_numbers: Number of each value by its name, for each graph by its path.
        producer: Node that computes each value; `NONE` for inputs and initializers.
        initializers: Values that are initializers.
        external_inputs: Values that come from outside: inputs of the model, of subgraphs and of
            functions, as far as nodes read them.
        graph_outputs: Values that graphs and functions return; a record does not tell them.
        control_flow_nodes: Nodes with subgraphs: they return what was computed inside.
        derived: Whether a node depends only on constants, on shapes of values, and on scales that
            quantisers choose for values.
    """

    def __init__(
        self,
        rows: Sequence[NodeRow],
        initializers: Iterable[ScopedName],
        *,
        graph_outputs: Iterable[ScopedName] = (),
        subgraph_inputs: Mapping[str, frozenset[str]] | None = None,
        has_torch_op_types: bool = False,
    ) -> None:
        self.op_types = [row[1] for row in rows]
        self.graph_paths = [row[0] for row in rows]
        self.producer: list[int] = []
        self.has_torch_op_types = has_torch_op_types
        self.value_numbers: dict[str, dict[str, int]] = {path: {} for path in set(self.graph_paths)}
        self._subgraph_inputs = subgraph_inputs or {}
        self.initializers = {self._add_value(graph, name, NONE) for graph, name in initializers}
        self.outputs = self._add_outputs(rows)
        self.external_inputs: set[int] = set()
        self.inputs = [self._find_inputs(graph, names) for graph, _, names, _ in rows]
        self._captures: list[tuple[int, int]] = []
        self.control_flow_nodes = self._capture_outer_values()
        self._input_values = [_present(values) for values in self.inputs]
        self._output_values = [_present(values) for values in self.outputs]
        self.derived = self.derived_without(self.control_flow_nodes)
        self.graph_outputs = {self.value_of(*output) for output in graph_outputs} - {NONE}

    @classmethod
    def from_record(cls, record: Record) -> "IndexedGraph":
        """Index the recorded graph; nodes are numbered like the record's ops."""
        rows = [(op.graph, op.op_type, op.inputs, op.outputs) for op in record.ops]
        initializers = ((tensor.graph, tensor.name) for tensor in record.tensors)
        return cls(
            rows, initializers, has_torch_op_types=record.source.exporter == RecordExporter.EAGER
        )

    @cached_property
    def value_names(self) -> list[ScopedName]:
        """Graph path and name of each value."""
        names = [("", "")] * len(self.producer)
        for path, numbers in self.value_numbers.items():
            for name, number in numbers.items():
                names[number] = path, name
        return names

    @cached_property
    def consumers(self) -> list[list[int]]:
        """Nodes that read each value, each once; those that capture it come last."""
        consumers: list[list[int]] = [[] for _ in self.producer]
        captured = Counter(holder for _, holder in self._captures)
        for node, values in enumerate(self.inputs):
            for value in values[: len(values) - captured[node]] if node in captured else values:
                nodes = consumers[value] if value != NONE else None
                if nodes is not None and (not nodes or nodes[-1] != node):
                    nodes.append(node)
        for value, holder in self._captures:
            consumers[value].append(holder)
        return consumers

    def __len__(self) -> int:
        return len(self.op_types)

    def value_of(self, graph: str, name: str) -> int:
        """Number of the value that a name stands for in a graph; `NONE` when there is none."""
        path: str | None = graph
        while path is not None:
            number = self.value_numbers.get(path, {}).get(name)
            if number is not None:
                return number
            if name in self._subgraph_inputs.get(path, ()):
                return NONE
            path = parent_graph(path)
        return NONE

    def input_values(self, node: int) -> Sequence[int]:
        """The values that a node reads, captured ones included."""
        return self._input_values[node]

    def output_values(self, node: int) -> Sequence[int]:
        """The values that a node computes."""
        return self._output_values[node]

    def is_constant(self, value: int) -> bool:
        """Whether a value depends on no input."""
        producer = self.producer[value]
        return value in self.initializers if producer == NONE else self.derived[producer]

    def nodes_by_graph(self) -> dict[str, list[int]]:
        """The nodes of each graph by its path, in their order."""
        nodes: dict[str, list[int]] = {}
        for node, path in enumerate(self.graph_paths):
            nodes.setdefault(path, []).append(node)
        return nodes

    def live_nodes(self) -> set[int]:
        """Nodes on whose results an output of the model depends."""
        pending = [self.producer[value] for value in self.graph_outputs]
        live: set[int] = set()
        while pending:
            node = pending.pop()
            if node != NONE and node not in live:
                live.add(node)
                pending += [self.producer[value] for value in self.input_values(node)]
        return live

    def derived_without(self, computing: set[int]) -> list[bool]:
        """Whether each node depends on nothing but constants, shapes of values and their scales.

        Args:
            computing: Nodes that are not derived, whatever they read.
        """
        derived: list[bool] = []
        producer, initializers = self.producer, self.initializers
        scales = self._find_scales()
        for node, kind in enumerate(self.op_types):
            constant = node not in computing
            for value in self._input_values[node] if constant else ():
                source = producer[value]
                if value in scales:
                    continue
                if source == NONE:
                    constant = value in initializers
                else:  # a producer that comes later stands in a loop or a function
                    constant = source < node and derived[source]
                if not constant:
                    break
            derived.append(constant or kind in SHAPE_OPERATORS)
        return derived

    def _find_scales(self) -> set[int]:
        """Values that quantisers choose for the scale of what they quantise."""
        kinds = {kind for kind in set(self.op_types) if returns_scales(kind)}
        quantisers = (n for n, kind in enumerate(self.op_types) if kind in kinds) if kinds else ()
        return {value for node in quantisers for value in self.outputs[node][1:]}

    def _add_value(self, graph: str, name: str, producer: int) -> int:
        numbers = self.value_numbers.setdefault(graph, {})
        number = numbers.get(name)
        if number is None:
            number = numbers[name] = len(self.producer)
            self.producer.append(producer)
        elif producer != NONE:
            self.producer[number] = producer
        return number

    def _add_outputs(self, rows: Iterable[NodeRow]) -> list[list[int]]:
        """The values of the outputs of each node."""
        outputs = []
        for node, (graph, _, _, names) in enumerate(rows):
            numbers, values = self.value_numbers[graph], []
            for name in names:
                if not name:
                    values.append(NONE)
                elif name in numbers:
                    values.append(self._add_value(graph, name, node))
                else:
                    numbers[name] = len(self.producer)
                    values.append(numbers[name])
                    self.producer.append(node)
            outputs.append(values)
        return outputs

    def _find_inputs(self, graph: str, names: Iterable[str]) -> list[int]:
        """The values of a node's input names."""
        values, numbers = [], self.value_numbers[graph]
        for name in names:
            value = numbers.get(name) if name else NONE
            values.append(self._find_outside(graph, name) if value is None else value)
        return values

    def _find_outside(self, graph: str, name: str) -> int:
        """The value that a name without a value in its own graph stands for: a new one, if none."""
        value = self.value_of(graph, name)
        if value == NONE:
            value = self._add_value(graph, name, NONE)
            self.external_inputs.add(value)
        return value

    def _capture_outer_values(self) -> set[int]:
        """Let nodes with subgraphs read what these capture; returns these nodes."""
        holders = _subgraph_nodes(self.graph_paths)
        for node, path in enumerate(self.graph_paths) if holders else ():
            inside = path
            while (holder := holders.get(inside)) is not None:
                for value in _present(self.inputs[node]):
                    outer = not self.value_names[value][0].startswith(inside)
                    if outer and value not in self.initializers:
                        self.inputs[holder].append(value)
                        self._captures.append((value, holder))
                inside = self.graph_paths[holder]
        return set(holders.values())


def _present(values: list[int]) -> list[int]:
    """Those that are not omitted."""
    return [value for value in values if value != NONE] if NONE in values else values


def _subgraph_nodes(graph_paths: Iterable[str]) -> dict[str, int]:
    """Path of each subgraph to the number of the node that holds it."""
    first_node: dict[str, int] = {}
    for node, path in enumerate(graph_paths):
        if path not in first_node:
            first_node[path] = node
    holders = {}
    for path in first_node:
        parts = split_subgraph_path(path)
        if parts is not None and parts.parent in first_node:
            holders[path] = first_node[parts.parent] + parts.position
    return holders
