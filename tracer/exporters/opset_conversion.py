"""Converting an exported graph to a lower opset, node for node, with onnx's version converter.

The converter decides what every operator becomes. It refuses some nodes that need no change at all,
or that only have to lose an attribute: `unchanged_nodes` prepares these and hides them from it.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

import onnx
from onnx import checker, defs, version_converter

from modelexport.errors import ModelExportError
from modelexport.hierarchy.graph_paths import MAIN, has_subgraphs, walk_graphs, walk_nodes
from modelexport.hierarchy.opsets import DEFAULT_DOMAINS, default_opset
from modelexport.hierarchy.subgraphs import names_read
from modelexport.support.error_texts import first_line
from modelexport.tracer.exporters.exported import IN_MEMORY, ExportedGraph
from modelexport.tracer.exporters.unchanged_nodes import HIDDEN, checker_context, hide_unchanged


class NotConvertibleError(ModelExportError):
    """A graph that cannot be converted to an opset; the message says what stands in the way."""


def convert_opset(exported: ExportedGraph, opset: int) -> ExportedGraph:
    """Convert a graph to a lower opset. Its nodes keep their places, names and outputs.

    Args:
        exported: The graph. It stays as it is.
        opset: Opset of the default domain.

    Raises:
        NotConvertibleError: An operator has no form in that opset, or nodes would be added.
    """
    if exported.model.functions:
        raise NotConvertibleError("it has functions, which onnx's version converter cannot read")
    converted = _converted_nodes(exported.model, opset)
    model = onnx.ModelProto()
    model.CopyFrom(exported.model)
    del model.graph.node[:]
    model.graph.node.extend(converted.graph.node)
    for entry in model.opset_import:
        if entry.domain in DEFAULT_DOMAINS:
            entry.version = opset
    if _outputs(model) != _outputs(exported.model):
        raise NotConvertibleError("onnx's version converter adds or removes nodes")
    _require_valid(model, opset)
    unread = _unread_initializers(exported.model, model)
    remaining = [tensor for tensor in model.graph.initializer if tensor.name not in unread]
    del model.graph.initializer[:]
    model.graph.initializer.extend(remaining)
    weights = {name: array for name, array in exported.weights.items() if name not in unread}
    return replace(exported, model=model, weights=weights, opset=opset)


def _converted_nodes(original: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """A model whose nodes are those of the lower opset. Its large initializers are inputs.

    Raises:
        NotConvertibleError: onnx's version converter refuses an operator.
    """
    model = onnx.ModelProto()
    model.CopyFrom(original)
    small = [tensor for tensor in model.graph.initializer if not _is_in_memory(tensor)]
    for tensor in model.graph.initializer:
        if _is_in_memory(tensor):
            value = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            model.graph.input.append(value)
    del model.graph.initializer[:]
    model.graph.initializer.extend(small)
    for domain in hide_unchanged(model, opset):
        model.opset_import.add(domain=domain, version=1)
    if any(_is_changed(node, opset, default_opset(model)) for _, node in walk_nodes(model)):
        copied = _copy_constants(model, opset)
        try:
            model = version_converter.convert_version(model, opset)
        except Exception as error:  # the converter raises whatever its C++ code does
            raise NotConvertibleError(_refused_operator(original, error)) from error
        _remove_initializers(model, copied)
    for _, node in walk_nodes(model):
        node.domain = node.domain.removeprefix(HIDDEN)
    return model


def _copy_constants(model: onnx.ModelProto, opset: int) -> set[tuple[str, str]]:
    """Copy initializers that changed nodes read into their subgraphs: the converter looks there.

    Returns:
        The graph path and name of each copy.
    """
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    current = default_opset(model)
    copied: set[tuple[str, str]] = set()
    for path, graph, _ in walk_graphs(model):
        if path == MAIN or not isinstance(graph, onnx.GraphProto):
            continue
        own = {tensor.name for tensor in graph.initializer}
        names = {n for node in graph.node if _is_changed(node, opset, current) for n in node.input}
        for name in sorted((names & constants.keys()) - own):
            graph.initializer.append(constants[name])
            copied.add((path, name))
    return copied


def _remove_initializers(model: onnx.ModelProto, copied: set[tuple[str, str]]) -> None:
    for path, graph, _ in walk_graphs(model):
        if isinstance(graph, onnx.GraphProto) and copied:
            remaining = [t for t in graph.initializer if (path, t.name) not in copied]
            del graph.initializer[:]
            graph.initializer.extend(remaining)


def _is_changed(node: onnx.NodeProto, opset: int, current: int) -> bool:
    """Whether an operator has another schema in a lower opset, or none."""
    if node.domain not in DEFAULT_DOMAINS or not defs.has(node.op_type, current, ""):
        return False
    newer = defs.get_schema(node.op_type, current, "").since_version
    if not defs.has(node.op_type, opset, ""):
        return True
    older: int = defs.get_schema(node.op_type, opset, "").since_version
    return newer != older


def _is_in_memory(tensor: onnx.TensorProto) -> bool:
    return any(e.key == "location" and e.value == IN_MEMORY for e in tensor.external_data)


def _refused_operator(model: onnx.ModelProto, error: Exception) -> str:
    """What the error of the converter says: the operator where it names one of the model."""
    message = first_line(error)
    for op_type in dict.fromkeys(node.op_type for _, node in walk_nodes(model)):
        if re.search(rf"\b{re.escape(op_type)}\b", message):
            return f"onnx's version converter has no way for {op_type}"
    return f"onnx's version converter fails ({message})"


def _outputs(model: onnx.ModelProto) -> list[tuple[str, ...]]:
    """The outputs of every node, in the order of all graphs."""
    return [(key.graph, *node.output) for key, node in walk_nodes(model)]


def _require_valid(model: onnx.ModelProto, opset: int) -> None:
    """Check that every node of the default domain is valid in the opset.

    Raises:
        NotConvertibleError: A node is not.
    """
    context = checker_context(model.ir_version, opset)
    for _, node in walk_nodes(model):
        if node.domain not in DEFAULT_DOMAINS or has_subgraphs(node):
            continue  # the nodes of subgraphs are checked one by one
        try:
            checker.check_node(node, context)
        except checker.ValidationError as error:
            raise NotConvertibleError(
                f"{node.op_type} {node.name} has no form there ({first_line(error)})"
            ) from error


def _unread_initializers(before: onnx.ModelProto, after: onnx.ModelProto) -> set[str]:
    """Names of initializers that no node reads any more: the converter made them attributes."""
    return set(_names_used(before)) - set(_names_used(after))


def _names_used(model: onnx.ModelProto) -> Iterator[str]:
    yield from names_read(model.graph)
    yield from (value.name for value in model.graph.output)
