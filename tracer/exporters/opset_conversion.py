"""Converting an exported graph to a lower opset, node for node, with onnx's version converter.

The converter decides what every operator becomes. It refuses some nodes that need no change at all,
or that only have to lose an attribute. `_make_compatible` prepares these, and they are hidden from
the converter behind a domain that it does not know. They are limited to operators whose only change
is in the exporter's own opset. All changes of opset 18 added inputs, attributes or types: a node
that the older schema accepts has the same meaning there.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import onnx
from onnx import checker, defs, version_converter

from modelexport.errors import ModelExportError
from modelexport.hierarchy.graph_paths import MAIN, has_subgraphs, walk_graphs, walk_nodes
from modelexport.hierarchy.opsets import DEFAULT_DOMAINS, default_opset
from modelexport.hierarchy.subgraphs import names_read
from modelexport.support.error_texts import first_line
from modelexport.tracer.exporters.exported import IN_MEMORY, ExportedGraph

_HIDDEN = "unchanged."
"""Put in front of the domain of nodes that the converter must leave as they are."""


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
    for domain in _hide_unchanged(model, opset):
        model.opset_import.add(domain=domain, version=1)
    if any(_is_changed(node, opset, default_opset(model)) for _, node in walk_nodes(model)):
        copied = _copy_constants(model, opset)
        try:
            model = version_converter.convert_version(model, opset)
        except Exception as error:  # the converter raises whatever its C++ code does
            raise NotConvertibleError(_refused_operator(original, error)) from error
        _remove_initializers(model, copied)
    for _, node in walk_nodes(model):
        node.domain = node.domain.removeprefix(_HIDDEN)
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


def _hide_unchanged(model: onnx.ModelProto, opset: int) -> set[str]:
    """Hide the nodes that are the same in the lower opset.

    Returns:
        The domains in which they are now.
    """
    current = default_opset(model)
    context = _context(model.ir_version, opset)
    domains = set()
    for path, graph, _ in walk_graphs(model):
        extents = _static_extents(graph) if isinstance(graph, onnx.GraphProto) and not path else {}
        for node in graph.node:
            if not _changed_last(node, opset, current):
                continue
            _make_compatible(node, opset, current, extents)
            with suppress(checker.ValidationError):  # the converter has to convert such a node
                checker.check_node(node, context)
                node.domain = _HIDDEN + node.domain
                domains.add(node.domain)
    return domains


def _changed_last(node: onnx.NodeProto, opset: int, current: int) -> bool:
    """Whether the only change of an operator between two opsets is the newest opset's."""
    if node.domain not in DEFAULT_DOMAINS or has_subgraphs(node):
        return False
    if not all(defs.has(node.op_type, version, "") for version in (opset, current)):
        return False
    newer = defs.get_schema(node.op_type, current, "").since_version
    before = defs.get_schema(node.op_type, current - 1, "").since_version
    older = defs.get_schema(node.op_type, opset, "").since_version
    return newer == current and before == older


def _make_compatible(
    node: onnx.NodeProto, opset: int, current: int, extents: dict[str, list[int]]
) -> None:
    """Remove attributes that the lower opset lacks, where that changes nothing.

    These are attributes with their default value, and the number of parts of an even split.

    Args:
        node: The node. It is changed.
        opset: The lower opset.
        current: The opset of the node.
        extents: Shape of values of which all extents are known, by name.
    """
    older = defs.get_schema(node.op_type, opset, "").attributes
    newer = defs.get_schema(node.op_type, current, "").attributes
    remaining = [
        attribute
        for attribute in node.attribute
        if attribute.name in older
        or not (
            _is_default(attribute, newer[attribute.name])
            or (attribute.name == "num_outputs" and _is_even_split(node, attribute.i, extents))
        )
    ]
    del node.attribute[:]
    node.attribute.extend(remaining)


def _is_default(attribute: onnx.AttributeProto, schema: defs.OpSchema.Attribute) -> bool:
    default = schema.default_value
    if default.type == onnx.AttributeProto.UNDEFINED:
        return False
    return bool(
        onnx.helper.get_attribute_value(attribute) == onnx.helper.get_attribute_value(default)
    )


def _is_even_split(node: onnx.NodeProto, parts: int, extents: dict[str, list[int]]) -> bool:
    """Whether a node splits a known extent into equal parts, as it does without their number."""
    shape = extents.get(node.input[0])
    axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
    is_split = node.op_type == "Split" and len(node.output) == parts
    return bool(is_split and shape and shape[axis] > 0 and shape[axis] % parts == 0)


def _static_extents(graph: onnx.GraphProto) -> dict[str, list[int]]:
    """Shape of each value with a shape, by name; 0 for an extent that is not known."""
    return {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info)
        if value.type.tensor_type.HasField("shape")
    }


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
    context = _context(model.ir_version, opset)
    for _, node in walk_nodes(model):
        if node.domain not in DEFAULT_DOMAINS or has_subgraphs(node):
            continue  # the nodes of subgraphs are checked one by one
        try:
            checker.check_node(node, context)
        except checker.ValidationError as error:
            raise NotConvertibleError(
                f"{node.op_type} {node.name} has no form there ({first_line(error)})"
            ) from error


def _context(ir_version: int, opset: int) -> checker.C.CheckerContext:
    context = checker.C.CheckerContext()
    context.ir_version = ir_version
    context.opset_imports = {"": opset}
    return context


def _unread_initializers(before: onnx.ModelProto, after: onnx.ModelProto) -> set[str]:
    """Names of initializers that no node reads any more: the converter made them attributes."""
    return set(_names_used(before)) - set(_names_used(after))


def _names_used(model: onnx.ModelProto) -> Iterator[str]:
    yield from names_read(model.graph)
    yield from (value.name for value in model.graph.output)
