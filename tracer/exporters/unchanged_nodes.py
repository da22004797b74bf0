"""Nodes that need no conversion to a lower opset, which onnx's version converter may refuse.

They are hidden from the converter behind a domain that it does not know. They are limited to
operators whose only change is in the exporter's own opset. All changes of opset 18 added inputs,
attributes or types: a node that the older schema accepts has the same meaning there.
"""

from contextlib import suppress

import onnx
from onnx import checker, defs

from modelexport.hierarchy.graph_paths import has_subgraphs, walk_graphs
from modelexport.hierarchy.opsets import DEFAULT_DOMAINS, default_opset

HIDDEN = "unchanged."
"""Put in front of the domain of nodes that the converter must leave as they are."""


def hide_unchanged(model: onnx.ModelProto, opset: int) -> set[str]:
    """Hide the nodes that are the same in the lower opset.

    Returns:
        The domains in which they are now.
    """
    current = default_opset(model)
    context = checker_context(model.ir_version, opset)
    domains = set()
    for path, graph, _ in walk_graphs(model):
        extents = _static_extents(graph) if isinstance(graph, onnx.GraphProto) and not path else {}
        for node in graph.node:
            if not _changed_last(node, opset, current):
                continue
            _make_compatible(node, opset, current, extents)
            with suppress(checker.ValidationError):  # the converter has to convert such a node
                checker.check_node(node, context)
                node.domain = HIDDEN + node.domain
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


def checker_context(ir_version: int, opset: int) -> checker.C.CheckerContext:
    """What onnx's checker needs to know to check single nodes of an opset."""
    context = checker.C.CheckerContext()
    context.ir_version = ir_version
    context.opset_imports = {"": opset}
    return context
