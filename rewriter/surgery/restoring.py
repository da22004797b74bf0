"""Writing graphsurgeon's objects back as messages: what no edit touched, as it was."""

from collections.abc import Iterable, Iterator
from typing import Any

import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter
from onnx_graphsurgeon.ir.tensor import SparseValues

from modelexport.rewriter.surgery.remembered import (
    Graph,
    Graphlike,
    Memory,
    Node,
    Tensor,
    initializer_names,
    said,
    same_values,
)

Ids = frozenset[int]


class Restoring:
    """Writes graphs, functions and nodes.

    Args:
        memory: What the objects were.

    Attributes:
        domains: Operator domains of nodes that an edit made or changed.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.domains: set[str] = set()

    def graph(self, graph: Any, outer: Ids = frozenset()) -> onnx.GraphProto:
        """A graph or subgraph.

        Args:
            graph: The object.
            outer: Identities of the tensors of the graphs around it.
        """
        known = self._memory.graph(graph) or Graph(graph, onnx.GraphProto(), [], {}, {})
        made = onnx.GraphProto()
        made.CopyFrom(known.origin)
        for field in ("node", "initializer", "sparse_initializer", "input", "output"):
            made.ClearField(field)
        made.ClearField("value_info")
        made.ClearField("quantization_annotation")
        if graph.name != known.origin.name:
            made.name = graph.name
        if graph.doc_string != known.origin.doc_string:
            made.doc_string = graph.doc_string
        alive = {id(t) for t in _used(graph)} | {id(t) for b in _subgraphs(graph) for t in _deep(b)}
        held = self._weights(made, known, alive, outer)
        inside = outer | held | {id(t) for t in _used(graph)}
        made.node.extend(self.node(node, inside) for node in graph.nodes)
        self._ends(made, known)
        self._value_infos(made, known, alive, outer | held)
        self._quantization(made, known, alive)
        return made

    def function(self, function: Any) -> onnx.FunctionProto:
        """A function; weights that an edit gave it become Constant nodes."""
        known = self._memory.graph(function)
        if known is None:
            self.domains.add(function.domain or "")
            new: onnx.FunctionProto = OnnxExporter.export_function(function)
            return new
        made = onnx.FunctionProto()
        made.CopyFrom(known.origin)
        for field in ("name", "domain", "doc_string"):
            if (getattr(function, field) or "") != getattr(known.origin, field):
                setattr(made, field, getattr(function, field) or "")
        for field, tensors in (("input", function.inputs), ("output", function.outputs)):
            names = [tensor.name for tensor in tensors]
            if names != list(getattr(known.origin, field)):
                made.ClearField(field)
                getattr(made, field).extend(names)
        constants = {id(t): t for t in _used(function) if isinstance(t, gs.Constant)}
        nodes = [_constant(tensor) for tensor in constants.values()]
        nodes += [self.node(node, frozenset(constants)) for node in function.nodes]
        made.ClearField("node")
        made.node.extend(nodes)
        if dict(function.attrs) != known.attributes:
            renewed = OnnxExporter.export_function(function)
            for name in ("attribute", "attribute_proto"):
                made.ClearField(name)
                getattr(made, name).extend(getattr(renewed, name))
        alive = {id(t) for t in _deep(function)}
        made.ClearField("value_info")
        made.value_info.extend(self._old_value_infos(known, alive))
        return made

    def node(self, node: Any, outer: Ids) -> onnx.NodeProto:
        """A node with its subgraphs."""
        known = self._memory.node(node)
        made = onnx.NodeProto()
        if known is None:
            known = Node(node, made, {})
        else:
            made.CopyFrom(known.origin)
        self._patch(made, known, node)
        del made.attribute[:]
        before = {attribute.name: attribute for attribute in known.origin.attribute}
        for name, attribute in before.items():
            if name in node.attrs:
                made.attribute.append(self._attribute(node, name, known, attribute, outer))
            elif name not in known.attributes:
                made.attribute.append(attribute)  # of a kind that graphsurgeon left out
        new = [name for name in node.attrs if name not in before]
        made.attribute.extend(self._new_attribute(name, node.attrs[name], outer) for name in new)
        return made

    def _patch(self, made: onnx.NodeProto, known: Node, node: Any) -> None:
        origin = known.origin
        domain = origin.domain if origin.HasField("domain") else None
        if node.op != origin.op_type or node.domain != domain:
            made.op_type = node.op
            made.ClearField("overload")
            made.ClearField("domain")
            if node.domain is not None:
                made.domain = node.domain
            self.domains.add(node.domain or "")
        if node.name != origin.name:
            made.name = node.name
        for field, tensors in (("input", node.inputs), ("output", node.outputs)):
            names = [tensor.name for tensor in tensors]
            if names != list(getattr(origin, field)):
                made.ClearField(field)
                getattr(made, field).extend(names)

    def _attribute(
        self, node: Any, name: str, known: Node, origin: onnx.AttributeProto, outer: Ids
    ) -> onnx.AttributeProto:
        value = node.attrs[name]
        if name not in known.attributes or not self._unchanged(value, known.attributes[name]):
            return self._new_attribute(name, value, outer)
        if not isinstance(value, gs.Graph):
            return origin
        made = onnx.AttributeProto()
        made.CopyFrom(origin)
        made.g.CopyFrom(self.graph(value, outer))
        return made

    def _new_attribute(self, name: str, value: Any, outer: Ids) -> onnx.AttributeProto:
        if isinstance(value, gs.Graph):
            subgraph = self.graph(value, outer)
            return onnx.AttributeProto(name=name, type=onnx.AttributeProto.GRAPH, g=subgraph)
        made: onnx.AttributeProto = OnnxExporter.export_attributes({name: value})[0]
        return made

    def _unchanged(self, value: Any, before: Any) -> bool:
        if isinstance(value, gs.Graph):
            return value is before
        if isinstance(value, gs.Tensor):
            known = self._memory.tensor(value)
            return value is before and known is not None and _constant_unchanged(value, known)
        if isinstance(value, gs.Node.AttributeRef):
            return isinstance(before, gs.Node.AttributeRef) and vars(value) == vars(before)
        return value is before or (type(value) is type(before) and value == before)

    def _weights(self, made: onnx.GraphProto, known: Graph, alive: set[int], outer: Ids) -> Ids:
        """Write the initializers; gives the identities of their objects."""
        held: set[int] = set()
        for weight in known.origin.initializer:
            tensor = known.tensors.get(weight.name)
            if tensor is None:
                made.initializer.append(weight)
            elif isinstance(tensor.object, gs.Constant) and id(tensor.object) in alive:
                held.add(id(tensor.object))
                made.initializer.append(_weight(tensor, weight))
        for sparse in known.origin.sparse_initializer:
            tensor = known.tensors.get(sparse.values.name)
            if tensor is None or id(tensor.object) in alive:
                made.sparse_initializer.append(sparse)
                held.update(() if tensor is None else (id(tensor.object),))
        for tensor in _used(known.object):
            if isinstance(tensor, gs.Constant) and id(tensor) not in held | outer:
                held.add(id(tensor))
                if isinstance(tensor._values, SparseValues):  # noqa: SLF001
                    made.sparse_initializer.append(tensor._values.tensor)  # noqa: SLF001
                else:
                    made.initializer.append(OnnxExporter.export_tensor_proto(tensor))
        return frozenset(held)

    def _ends(self, made: onnx.GraphProto, known: Graph) -> None:
        graph, origin = known.object, known.origin
        weights = initializer_names(made)
        messages = {value.name: value for value in origin.input}
        inputs = [self._value(tensor, messages) for tensor in graph.inputs]
        defaults = [v for v in origin.input if v.name in weights]
        if [id(t) for t in graph.inputs] == [id(t) for t in known.inputs]:
            rest = iter(inputs)
            held = initializer_names(origin)
            for value in origin.input:
                if value.name not in held:
                    made.input.append(next(rest))
                elif value.name in weights:
                    made.input.append(value)
        else:
            made.input.extend([*inputs, *defaults])
        messages = {value.name: value for value in origin.output}
        made.output.extend(self._value(tensor, messages) for tensor in graph.outputs)

    def _value(self, tensor: Any, messages: dict[str, onnx.ValueInfoProto]) -> onnx.ValueInfoProto:
        known = self._memory.tensor(tensor)
        message = None if known is None else messages.get(known.said.name)
        if known is None or message is None:
            new: onnx.ValueInfoProto = OnnxExporter.export_value_info_proto(tensor, False)
            return new
        now = said(tensor)
        if now[:4] == known.said[:4]:
            return message
        made = onnx.ValueInfoProto()
        made.CopyFrom(message)
        made.name = now.name
        if now[1:4] != known.said[1:4]:
            made.type.CopyFrom(OnnxExporter.export_value_info_proto(tensor, False).type)
        return made

    def _old_value_infos(self, known: Graph, alive: set[int]) -> Iterator[onnx.ValueInfoProto]:
        messages = {value.name: value for value in known.origin.value_info}
        for value in known.origin.value_info:
            tensor = known.tensors.get(value.name)
            if tensor is None:
                yield value
            elif id(tensor.object) in alive:
                yield self._value(tensor.object, messages)

    def _value_infos(
        self, made: onnx.GraphProto, known: Graph, alive: set[int], outer: Ids
    ) -> None:
        made.value_info.extend(self._old_value_infos(known, alive))
        told = {value.name for value in (*made.value_info, *made.input, *made.output)}
        for tensor in _used(known.object):
            before = self._memory.tensor(tensor)
            changed = before is None or said(tensor)[:4] != before.said[:4]
            if changed and id(tensor) not in outer and tensor.name not in told:
                told.add(tensor.name)
                if isinstance(tensor, gs.Variable) and tensor.dtype is not None:
                    made.value_info.append(OnnxExporter.export_value_info_proto(tensor, False))

    def _quantization(self, made: onnx.GraphProto, known: Graph, alive: set[int]) -> None:
        for annotation in known.origin.quantization_annotation:
            tensor = known.tensors.get(annotation.tensor_name)
            if tensor is not None and id(tensor.object) not in alive:
                continue
            new = made.quantization_annotation.add()
            new.CopyFrom(annotation)
            if tensor is not None:
                new.tensor_name = tensor.object.name
            for entry in new.quant_parameter_tensor_names:
                if entry.value in known.tensors:
                    entry.value = known.tensors[entry.value].object.name


def _weight(known: Tensor, origin: onnx.TensorProto) -> onnx.TensorProto:
    if _constant_unchanged(known.object, known):
        return origin
    made = onnx.TensorProto()
    if same_values(known.object, known.said):
        made.CopyFrom(origin)
        made.name = known.object.name
        return made
    made.CopyFrom(OnnxExporter.export_tensor_proto(known.object))
    made.metadata_props.extend(origin.metadata_props)
    if origin.HasField("doc_string"):
        made.doc_string = origin.doc_string
    return made


def _constant_unchanged(tensor: Any, known: Tensor) -> bool:
    return (
        isinstance(tensor, gs.Constant)
        and tensor.name == known.said.name
        and same_values(tensor, known.said)
    )


def _constant(tensor: Any) -> onnx.NodeProto:
    value = OnnxExporter.export_tensor_proto(tensor)
    return onnx.helper.make_node("Constant", [], [tensor.name], value=value)


def _used(graph: Graphlike) -> Iterator[Any]:
    """The tensors that a graph uses itself, some of them several times."""
    ends: Iterable[Any] = (*graph.inputs, *graph.outputs)
    yield from (tensor for tensor in ends if tensor.name)
    for node in graph.nodes:
        yield from (tensor for tensor in (*node.inputs, *node.outputs) if tensor.name)


def _subgraphs(graph: Graphlike) -> Iterator[Any]:
    for node in graph.nodes:
        yield from (value for value in node.attrs.values() if isinstance(value, gs.Graph))


def _deep(graph: Graphlike) -> Iterator[Any]:
    yield from _used(graph)
    for subgraph in _subgraphs(graph):
        yield from _deep(subgraph)
