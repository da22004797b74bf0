"""Writing graphsurgeon's objects back as messages: what no edit touched stays as it was."""

from collections.abc import Iterable
from typing import Any

import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter

from modelexport.rewriter.surgery.initializers import Ids, constant_node, write_initializers
from modelexport.rewriter.surgery.origins import GraphOrigin, NodeOrigin, Origins
from modelexport.rewriter.surgery.tensor_state import (
    all_used_tensors,
    is_same_constant,
    used_tensors,
)
from modelexport.rewriter.surgery.value_infos import ValueInfoWriter, write_quantization

_REWRITTEN_FIELDS = (
    *("node", "initializer", "sparse_initializer", "input", "output", "value_info"),
    "quantization_annotation",
)
"""Fields of a graph that are written from its objects."""


class MessageWriter:
    """Writes graphs, functions and nodes.

    Args:
        origins: The origins of all objects.

    Attributes:
        new_domains: Operator domains of nodes that an edit made or changed.
    """

    def __init__(self, origins: Origins) -> None:
        self._origins = origins
        self._value_infos = ValueInfoWriter(origins)
        self.new_domains: set[str] = set()

    def graph(self, graph: Any, outer: Ids = frozenset()) -> onnx.GraphProto:
        """Write a graph or subgraph.

        Args:
            graph: The object.
            outer: Identities of the tensors of the graphs around it.
        """
        origin = self._origins.of_graph(graph)
        origin = origin or GraphOrigin(graph, onnx.GraphProto(), [], {}, {})
        message = onnx.GraphProto()
        message.CopyFrom(origin.message)
        for field in _REWRITTEN_FIELDS:
            message.ClearField(field)
        if graph.name != origin.message.name:
            message.name = graph.name
        if graph.doc_string != origin.message.doc_string:
            message.doc_string = graph.doc_string
        in_use = {id(tensor) for tensor in all_used_tensors(graph)}
        initializers = write_initializers(message, origin, in_use, outer)
        visible = outer | initializers | {id(tensor) for tensor in used_tensors(graph)}
        message.node.extend(self.node(node, visible) for node in graph.nodes)
        self._value_infos.write_inputs_and_outputs(message, origin)
        self._value_infos.write_value_infos(message, origin, in_use, outer | initializers)
        write_quantization(message, origin, in_use)
        return message

    def function(self, function: Any) -> onnx.FunctionProto:
        """Write a function. Weights that an edit added become Constant nodes."""
        origin = self._origins.of_graph(function)
        if origin is None:
            self.new_domains.add(function.domain or "")
            new: onnx.FunctionProto = OnnxExporter.export_function(function)
            return new
        message = onnx.FunctionProto()
        message.CopyFrom(origin.message)
        for field in ("name", "domain", "doc_string"):
            if (getattr(function, field) or "") != getattr(origin.message, field):
                setattr(message, field, getattr(function, field) or "")
        _write_names(message, input=function.inputs, output=function.outputs)
        message.ClearField("node")
        message.node.extend(self._nodes_of_function(function))
        if dict(function.attrs) != origin.attributes:
            exported = OnnxExporter.export_function(function)
            for field in ("attribute", "attribute_proto"):
                message.ClearField(field)
                getattr(message, field).extend(getattr(exported, field))
        in_use = {id(tensor) for tensor in all_used_tensors(function)}
        message.ClearField("value_info")
        message.value_info.extend(self._value_infos.earlier_infos(origin, in_use))
        return message

    def _nodes_of_function(self, function: Any) -> list[onnx.NodeProto]:
        constants = {id(t): t for t in used_tensors(function) if isinstance(t, gs.Constant)}
        nodes = [constant_node(tensor) for tensor in constants.values()]
        return [*nodes, *(self.node(node, frozenset(constants)) for node in function.nodes)]

    def node(self, node: Any, outer: Ids) -> onnx.NodeProto:
        """Write a node with its subgraphs.

        Args:
            node: The object.
            outer: Identities of the tensors that its subgraphs can see.
        """
        message = onnx.NodeProto()
        origin = self._origins.of_node(node)
        if origin is None:
            origin = NodeOrigin(node, message, {})
        else:
            message.CopyFrom(origin.message)
        self._write_fields(message, origin)
        del message.attribute[:]
        earlier = {attribute.name: attribute for attribute in origin.message.attribute}
        for name, attribute in earlier.items():
            if name in node.attrs:
                message.attribute.append(self._attribute(origin, name, attribute, outer))
            elif name not in origin.attributes:
                message.attribute.append(attribute)  # of a kind that graphsurgeon leaves out
        added = [name for name in node.attrs if name not in earlier]
        message.attribute.extend(self._new_attribute(n, node.attrs[n], outer) for n in added)
        return message

    def _write_fields(self, message: onnx.NodeProto, origin: NodeOrigin) -> None:
        """Write operator, name, inputs and outputs of a node where an edit changed them."""
        node = origin.object
        domain = origin.message.domain if origin.message.HasField("domain") else None
        if node.op != origin.message.op_type or node.domain != domain:
            message.op_type = node.op
            message.ClearField("overload")
            message.ClearField("domain")
            if node.domain is not None:
                message.domain = node.domain
            self.new_domains.add(node.domain or "")
        if node.name != origin.message.name:
            message.name = node.name
        _write_names(message, input=node.inputs, output=node.outputs)

    def _attribute(
        self, origin: NodeOrigin, name: str, earlier: onnx.AttributeProto, outer: Ids
    ) -> onnx.AttributeProto:
        """An attribute that the node had before."""
        value = origin.object.attrs[name]
        if name not in origin.attributes or not self._is_same(value, origin.attributes[name]):
            return self._new_attribute(name, value, outer)
        if not isinstance(value, gs.Graph):
            return earlier
        message = onnx.AttributeProto()
        message.CopyFrom(earlier)
        message.g.CopyFrom(self.graph(value, outer))
        return message

    def _new_attribute(self, name: str, value: Any, outer: Ids) -> onnx.AttributeProto:
        if isinstance(value, gs.Graph):
            subgraph = self.graph(value, outer)
            return onnx.AttributeProto(name=name, type=onnx.AttributeProto.GRAPH, g=subgraph)
        message: onnx.AttributeProto = OnnxExporter.export_attributes({name: value})[0]
        return message

    def _is_same(self, value: Any, before: Any) -> bool:
        """Whether the value of an attribute is what it was; a subgraph is the same object."""
        if isinstance(value, gs.Graph):
            return value is before
        if isinstance(value, gs.Tensor):
            origin = self._origins.of_tensor(value)
            return value is before and origin is not None and is_same_constant(value, origin.state)
        if isinstance(value, gs.Node.AttributeRef):
            return isinstance(before, gs.Node.AttributeRef) and vars(value) == vars(before)
        return value is before or (type(value) is type(before) and value == before)


def _write_names(message: onnx.NodeProto | onnx.FunctionProto, **tensors: Iterable[Any]) -> None:
    """Write the names of tensors into fields of a message where they differ."""
    for field, objects in tensors.items():
        names = [tensor.name for tensor in objects]
        if names != list(getattr(message, field)):
            message.ClearField(field)
            getattr(message, field).extend(names)
