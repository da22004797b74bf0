"""Writing a folded main graph: calls, nodes that are not folded, and the constants still used."""

import onnx

from modelexport.rewriter.folding.flat_snapshot import FlatSnapshot, write_snapshot
from modelexport.rewriter.folding.fold_graph import FoldGraph
from modelexport.rewriter.graph.subgraph_names import initializer_names
from modelexport.support.repeated_fields import replace_messages

_FIRST_IR_WITH_FUNCTIONS = 8


def write_folded_graph(model: onnx.ModelProto, graph: FoldGraph, inner_constants: set[str]) -> None:
    """Write a folded graph into its model.

    Args:
        model: The model; its functions are there already.
        graph: The folded graph.
        inner_constants: Constants of the graph that stand inside functions.
    """
    replace_messages(model.graph.node, _nodes(graph, inner_constants))
    _remove_inner_initializers(model.graph, graph, inner_constants)
    _remove_unused_types(model.graph, graph)
    write_snapshot(model, _snapshot(graph))
    model.ir_version = max(model.ir_version, _FIRST_IR_WITH_FUNCTIONS)


def _nodes(graph: FoldGraph, inner_constants: set[str]) -> list[onnx.NodeProto]:
    """All nodes; each constant stands before the first node that reads it."""
    written: set[str] = set()
    nodes: list[onnx.NodeProto] = []
    for node in graph.nodes:
        for name in node.inputs:
            if name in graph.outside and name not in written:
                written.add(name)
                nodes.append(graph.outside[name][0])
        nodes.append(node.proto)
    removed = written | (inner_constants - graph.outputs)
    return [*nodes, *(node for name, (node, _) in graph.outside.items() if name not in removed)]


def _remove_inner_initializers(
    proto: onnx.GraphProto, graph: FoldGraph, inner_constants: set[str]
) -> None:
    """Remove initializers that stand inside functions and that nothing else uses."""
    used = {name for node in graph.nodes for name in node.inputs} | graph.outputs
    removed = {name for name in inner_constants - used if not graph.constants[name].is_node}
    remaining = [weight for weight in proto.initializer if weight.name not in removed]
    if len(remaining) < len(proto.initializer):
        replace_messages(proto.initializer, remaining)


def _remove_unused_types(proto: onnx.GraphProto, graph: FoldGraph) -> None:
    """Remove the types of values that are inside functions now."""
    values = {name for node in proto.node for name in node.output}
    values |= graph.inputs | initializer_names(proto)
    replace_messages(proto.value_info, [v for v in proto.value_info if v.name in values])


def _snapshot(graph: FoldGraph) -> FlatSnapshot:
    calls = {node.proto.name: node.originals for node in graph.nodes if node.is_call}
    others = [node for node in graph.nodes if node.proto.name not in calls]
    positions = {next(iter(node.outputs), ""): node.position for node in others}
    positions |= {name: position for name, (_, position) in graph.outside.items()}
    return FlatSnapshot(calls, positions)
