"""What graphsurgeon's objects were when they were made, and of which message."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import numpy_helper
from onnx_graphsurgeon.ir.tensor import LazyValues, SparseValues

from modelexport.hierarchy.graph_paths import subgraphs

Payload = Callable[[onnx.TensorProto], bytes | None]
"""Gives the values of a tensor that a skeleton left in its file; None for other tensors."""

Graphlike = Any  # gs.Graph or gs.Function: graphsurgeon has no types
Message = onnx.GraphProto | onnx.FunctionProto


class FromFile(LazyValues):  # type: ignore[misc]
    """Values that stay in the file until somebody asks for them."""

    def __init__(self, tensor: onnx.TensorProto, payload: Payload) -> None:
        super().__init__(tensor)
        self._payload = payload

    def load(self) -> Any:
        """The values as an array."""
        values = self._payload(self.tensor)
        if values is None:
            return super().load()
        whole = onnx.TensorProto(
            dims=self.tensor.dims, data_type=self.tensor.data_type, raw_data=values
        )
        return np.array(numpy_helper.to_array(whole))


class Said(NamedTuple):
    """What a tensor object said of itself when it was made."""

    name: str
    constant: bool
    dtype: Any
    shape: Any
    values: Any


class Tensor(NamedTuple):
    """A tensor object with what it said."""

    object: Any
    said: Said


class Node(NamedTuple):
    """A node object with the message it was made of, and the attributes that it had."""

    object: Any
    origin: onnx.NodeProto
    attributes: dict[str, Any]


class Graph(NamedTuple):
    """A graph or function object with its message, and what its names stood for."""

    object: Graphlike
    origin: Message
    inputs: list[Any]
    tensors: dict[str, Tensor]
    attributes: dict[str, Any]


class Memory:
    """Remembers every object of one graph, by identity: graphsurgeon compares by name.

    Args:
        payload: Where values are that a skeleton left in its file.
    """

    def __init__(self, payload: Payload) -> None:
        self._payload = payload
        self._nodes: dict[int, Node] = {}
        self._graphs: dict[int, Graph] = {}
        self._tensors: dict[int, Tensor] = {}

    def node(self, node: Any) -> Node | None:
        """What is known of a node; None for one that an edit made."""
        return self._nodes.get(id(node))

    def graph(self, graph: Graphlike) -> Graph | None:
        """What is known of a graph or function."""
        return self._graphs.get(id(graph))

    def tensor(self, tensor: Any) -> Tensor | None:
        """What is known of a tensor."""
        return self._tensors.get(id(tensor))

    def learn(self, graph: Graphlike, origin: Message) -> None:
        """Remember a graph or function and everything in it, subgraphs included."""
        for node, message in zip(graph.nodes, origin.node, strict=True):
            self._learn_node(node, message)
        own: dict[str, Tensor] = {}
        for name, tensor in _pairs(graph, origin):
            if name not in own:
                own[name] = self._learn_tensor(tensor)
        self._graphs[id(graph)] = Graph(
            graph, origin, list(graph.inputs), own, dict(getattr(graph, "attrs", {}))
        )

    def _learn_node(self, node: Any, origin: onnx.NodeProto) -> None:
        for name, subgraph in subgraphs(origin):
            if name in node.attrs:  # lists of graphs are nothing that graphsurgeon reads
                self.learn(node.attrs[name], subgraph)
        kept = {}
        for name, value in node.attrs.items():
            if isinstance(value, gs.Tensor):
                self._learn_tensor(value)
            kept[name] = list(value) if isinstance(value, list) else value
        self._nodes[id(node)] = Node(node, origin, kept)

    def _learn_tensor(self, tensor: Any) -> Tensor:
        found = self._tensors.get(id(tensor))
        if found is None:
            if isinstance(tensor, gs.Constant) and type(tensor._values) is LazyValues:  # noqa: SLF001
                tensor._values = FromFile(tensor._values.tensor, self._payload)  # noqa: SLF001
            found = self._tensors[id(tensor)] = Tensor(tensor, said(tensor))
        return found


def said(tensor: Any) -> Said:
    """What a tensor object says of itself now; its values are not loaded."""
    if isinstance(tensor, gs.Constant):
        return Said(tensor.name, constant=True, dtype=None, shape=None, values=tensor._values)  # noqa: SLF001
    shape = None if tensor.shape is None else list(tensor.shape)
    return Said(tensor.name, constant=False, dtype=tensor.dtype, shape=shape, values=None)


def same_values(tensor: Any, before: Said) -> bool:
    """Whether a constant holds what it held; reading values alone is no change."""
    values = tensor._values  # noqa: SLF001
    if values is before.values:
        return True
    if isinstance(values, LazyValues) or isinstance(before.values, SparseValues):
        return isinstance(before.values, SparseValues) and _equal(values, before.values.load())
    return isinstance(before.values, LazyValues) and _equal(values, before.values.load())


def _equal(left: Any, right: Any) -> bool:
    if not isinstance(left, np.ndarray) or left.dtype != right.dtype or left.shape != right.shape:
        return False
    if left.dtype == object:
        return bool((left == right).all())
    return bool(left.tobytes() == right.tobytes())


def _pairs(graph: Graphlike, origin: Message) -> Iterator[tuple[str, Any]]:
    """Names as a message uses them, with the objects that stand for them.

    What a subgraph uses from the graph around it is used by that graph.
    """
    if isinstance(origin, onnx.FunctionProto):
        yield from zip(origin.input, graph.inputs, strict=True)
        yield from zip(origin.output, graph.outputs, strict=True)
    else:
        held = initializer_names(origin)
        inputs = [value.name for value in origin.input if value.name not in held]
        yield from zip(inputs, graph.inputs, strict=True)
        yield from zip([value.name for value in origin.output], graph.outputs, strict=True)
    for node, message in zip(graph.nodes, origin.node, strict=True):
        named = [*zip(message.input, node.inputs, strict=True)]
        named += zip(message.output, node.outputs, strict=True)
        yield from ((name, tensor) for name, tensor in named if name)
        for attribute, subgraph in subgraphs(message):
            if attribute in node.attrs:
                inside = defined(subgraph)
                found = _pairs(node.attrs[attribute], subgraph)
                yield from ((name, tensor) for name, tensor in found if name not in inside)


def initializer_names(graph: onnx.GraphProto) -> set[str]:
    """Names of a graph's own weights."""
    sparse = (weight.values.name for weight in graph.sparse_initializer)
    return {*(weight.name for weight in graph.initializer), *sparse}


def defined(graph: onnx.GraphProto) -> set[str]:
    """Names that a graph itself gives a meaning to."""
    made = (name for node in graph.node for name in node.output if name)
    return {*initializer_names(graph), *(value.name for value in graph.input), *made}
