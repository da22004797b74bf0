"""The state of graphsurgeon's objects when they were made, and the messages they were made from."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnx_graphsurgeon as gs
from onnx import numpy_helper
from onnx_graphsurgeon.ir.tensor import LazyValues

from modelexport.hierarchy.graph_paths import subgraphs
from modelexport.rewriter.graph.subgraph_names import defined_names, initializer_names
from modelexport.rewriter.surgery.tensor_state import TensorState, tensor_state

Payload = Callable[[onnx.TensorProto], bytes | None]
"""Gives the values of a tensor that a skeleton left in its file; None for other tensors."""

GraphObject = Any
"""A `gs.Graph` or `gs.Function`: graphsurgeon has no types."""

GraphMessage = onnx.GraphProto | onnx.FunctionProto


class FileValues(LazyValues):  # type: ignore[misc]
    """Values that stay in the file until an edit asks for them."""

    def __init__(self, tensor: onnx.TensorProto, payload: Payload) -> None:
        super().__init__(tensor)
        self._payload = payload

    def load(self) -> Any:
        """The values as an array."""
        values = self._payload(self.tensor)
        if values is None:
            return super().load()
        complete = onnx.TensorProto(
            dims=self.tensor.dims, data_type=self.tensor.data_type, raw_data=values
        )
        return np.array(numpy_helper.to_array(complete))


class TensorOrigin(NamedTuple):
    """A tensor object, and its state when it was made."""

    object: Any
    state: TensorState


class NodeOrigin(NamedTuple):
    """A node object, the message it was made from, and its attributes at that time."""

    object: Any
    message: onnx.NodeProto
    attributes: dict[str, Any]


class GraphOrigin(NamedTuple):
    """A graph or function object, its message, and the tensor of each name at that time."""

    object: GraphObject
    message: GraphMessage
    inputs: list[Any]
    tensors: dict[str, TensorOrigin]
    attributes: dict[str, Any]


class Origins:
    """The origin of every object of one model, by identity: graphsurgeon compares by name.

    Args:
        payload: Gives the values that a skeleton left in its file.
    """

    def __init__(self, payload: Payload) -> None:
        self._payload = payload
        self._nodes: dict[int, NodeOrigin] = {}
        self._graphs: dict[int, GraphOrigin] = {}
        self._tensors: dict[int, TensorOrigin] = {}

    def of_node(self, node: Any) -> NodeOrigin | None:
        """The origin of a node; None for one that an edit made."""
        return self._nodes.get(id(node))

    def of_graph(self, graph: GraphObject) -> GraphOrigin | None:
        """The origin of a graph or function; None for one that an edit made."""
        return self._graphs.get(id(graph))

    def of_tensor(self, tensor: Any) -> TensorOrigin | None:
        """The origin of a tensor; None for one that an edit made."""
        return self._tensors.get(id(tensor))

    def register(self, graph: GraphObject, message: GraphMessage) -> None:
        """Register a graph or function and everything in it, subgraphs included."""
        for node, node_message in zip(graph.nodes, message.node, strict=True):
            self._register_node(node, node_message)
        tensors: dict[str, TensorOrigin] = {}
        for name, tensor in _named_tensors(graph, message):
            if name not in tensors:
                tensors[name] = self._register_tensor(tensor)
        self._graphs[id(graph)] = GraphOrigin(
            graph, message, list(graph.inputs), tensors, dict(getattr(graph, "attrs", {}))
        )

    def _register_node(self, node: Any, message: onnx.NodeProto) -> None:
        for name, subgraph in subgraphs(message):
            if name in node.attrs:  # graphsurgeon does not read lists of graphs
                self.register(node.attrs[name], subgraph)
        attributes = {}
        for name, value in node.attrs.items():
            if isinstance(value, gs.Tensor):
                self._register_tensor(value)
            attributes[name] = list(value) if isinstance(value, list) else value
        self._nodes[id(node)] = NodeOrigin(node, message, attributes)

    def _register_tensor(self, tensor: Any) -> TensorOrigin:
        origin = self._tensors.get(id(tensor))
        if origin is None:
            if isinstance(tensor, gs.Constant) and type(tensor._values) is LazyValues:  # noqa: SLF001
                tensor._values = FileValues(tensor._values.tensor, self._payload)  # noqa: SLF001
            origin = self._tensors[id(tensor)] = TensorOrigin(tensor, tensor_state(tensor))
        return origin


def _named_tensors(graph: GraphObject, message: GraphMessage) -> Iterator[tuple[str, Any]]:
    """Each name that a message uses, with the tensor object that stands for it.

    What a subgraph reads from the graph around it counts as used by that graph.
    """
    if isinstance(message, onnx.FunctionProto):
        yield from zip(message.input, graph.inputs, strict=True)
        yield from zip(message.output, graph.outputs, strict=True)
    else:
        initializers = initializer_names(message)
        inputs = [value.name for value in message.input if value.name not in initializers]
        yield from zip(inputs, graph.inputs, strict=True)
        yield from zip([value.name for value in message.output], graph.outputs, strict=True)
    for node, node_message in zip(graph.nodes, message.node, strict=True):
        pairs = [*zip(node_message.input, node.inputs, strict=True)]
        pairs += zip(node_message.output, node.outputs, strict=True)
        yield from ((name, tensor) for name, tensor in pairs if name)
        for attribute, subgraph in subgraphs(node_message):
            if attribute in node.attrs:
                defined = defined_names(subgraph)
                inner = _named_tensors(node.attrs[attribute], subgraph)
                yield from ((name, tensor) for name, tensor in inner if name not in defined)
