"""What the nodes of an exported graph read, and what they pass on."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

import onnx

from modelexport.hierarchy.fingerprints import ValueFingerprint, value_fingerprint
from modelexport.hierarchy.graph_paths import (
    MAIN,
    NodeKey,
    has_subgraphs,
    parent_graph,
    walk_graphs,
    walk_nodes,
)
from modelexport.tracer.records.graph_values import REARRANGING, GraphValues
from modelexport.tracer.records.value_equality import kind, values_agree

Value = tuple[str, str]
"""A value: the path of the graph that defines it, and its name."""

_PASSING = REARRANGING | {"Cast", "CastLike"}
"""Operators that give back the numbers of their first input."""

_READS_SHAPE = {"Shape", "Size"}
"""Operators whose output does not depend on the numbers of their input."""


class GraphReads:
    """The producers and consumers of the values of an exported graph, subgraphs included.

    Args:
        model: The graph.
        values: What it computes on the probe inputs.
    """

    def __init__(self, model: onnx.ModelProto, values: GraphValues) -> None:
        self.nodes = dict(walk_nodes(model))
        self.producers: dict[Value, NodeKey] = {}
        self.consumers: dict[Value, list[NodeKey]] = defaultdict(list)
        self._values = values
        self._inputs = _input_fingerprints(values)
        self._defined: dict[str, set[str]] = {}
        self._initializers: set[Value] = set()
        self._varying: set[Value] = set()
        self._returned: set[Value] = set()
        self._reads: dict[NodeKey, list[Value]] = {}
        for path, graph, _ in walk_graphs(model):
            if isinstance(graph, onnx.GraphProto):
                self._define(path, graph)
        for path, graph, _ in walk_graphs(model):
            if isinstance(graph, onnx.GraphProto):
                self._returned |= {self._resolve(path, value.name) for value in graph.output}
        for key, node in self.nodes.items():
            self._read(key, node)

    def fingerprint(self, value: Value) -> ValueFingerprint | None:
        """The fingerprint of a value on the probe inputs; None where it is not known."""
        return self._values.first.get(value) or self._inputs.get(value)

    def inputs(self, key: NodeKey) -> list[Value]:
        """The values that a node reads and that depend on the inputs of the model."""
        return [value for value in self._reads[key] if value in self._varying]

    def outputs(self, key: NodeKey) -> list[Value]:
        """The values that a node computes."""
        return [(key.graph, name) for name in self.nodes[key].output if name]

    def passes_on(self, key: NodeKey) -> bool:
        """Whether a node gives back the numbers of one of its inputs."""
        output = self.fingerprint(next(iter(self.outputs(key)), (MAIN, "")))
        inputs = map(self.fingerprint, self.inputs(key))
        return output is not None and any(
            value is not None and kind(value) == kind(output) and values_agree(value, output)
            for value in inputs
        )

    def users(self, key: NodeKey) -> list[NodeKey] | None:
        """The nodes that read what a node computes; None where a graph returns it."""
        outputs = self.outputs(key)
        if any(value in self._returned for value in outputs):
            return None
        return [user for value in outputs for user in self.consumers[value]]

    def sources(self, key: NodeKey) -> list[NodeKey]:
        """The nodes that compute what a node reads and what depends on the model's inputs."""
        values = self.inputs(key)
        return [self.producers[value] for value in values if value in self.producers]

    def initializers(self, key: NodeKey) -> set[Value]:
        """The initializers that a node reads, directly or rearranged or in another type."""
        return {value for read in self._reads[key] for value in self._behind(read)}

    def _behind(self, value: Value) -> Iterator[Value]:
        """The initializer whose numbers a value holds; None if there is none."""
        while value not in self._initializers:
            producer = self.producers.get(value)
            if producer is None or self.nodes[producer].op_type not in _PASSING:
                return
            value = self._reads[producer][0]
        yield value

    def _define(self, path: str, graph: onnx.GraphProto) -> None:
        inputs = [value.name for value in graph.input]
        weights = [tensor.name for tensor in graph.initializer]
        computed = [name for node in graph.node for name in node.output]
        self._defined[path] = {*inputs, *weights, *computed}
        self._initializers |= {(path, name) for name in weights}
        self._varying |= {(path, name) for name in set(inputs) - set(weights)}

    def _read(self, key: NodeKey, node: onnx.NodeProto) -> None:
        for value in self.outputs(key):
            self.producers[value] = key
        self._reads[key] = [self._resolve(key.graph, name) for name in node.input if name]
        for value in self._reads[key]:
            self.consumers[value].append(key)
        is_varying = has_subgraphs(node) or bool(self.inputs(key))
        if is_varying and node.op_type not in _READS_SHAPE:
            self._varying |= set(self.outputs(key))

    def _resolve(self, path: str, name: str) -> Value:
        """The value that a name stands for in a graph: of the innermost graph that defines it."""
        graph: str | None = path
        while graph is not None:
            if name in self._defined.get(graph, ()):
                return graph, name
            graph = parent_graph(graph)
        return MAIN, name


def _input_fingerprints(values: GraphValues) -> Mapping[Value, ValueFingerprint | None]:
    return {(MAIN, name): value_fingerprint(array) for name, array in values.feed.items()}
