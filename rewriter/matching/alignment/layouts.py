"""Nodes that bring a result into the shape that the record has.

Exporters write one operator in steps, for example a Gather of columns as Transpose, Gather and
Transpose. The last step passes numbers on and is no recorded op. It is a part of the op whose
result it brings into shape, whichever nodes read it.
"""

from collections.abc import Mapping

from modelexport.rewriter.graph.indexed_graph import NONE
from modelexport.rewriter.matching.alignment.graph_pair import GraphPair


def find_shaping_nodes(graphs: GraphPair, ops: Mapping[int, int]) -> dict[int, int]:
    """Nodes that pass a paired node's result on until it has the recorded shape.

    Args:
        graphs: What is aligned.
        ops: The recorded op of each paired node.

    Returns:
        The nodes, each with the recorded op of which it is a part.
    """
    values, graph = graphs.values, graphs.file.graph
    shaping: dict[int, int] = {}
    if values is None or not values.rejects_mismatch:
        return shaping
    for node in range(len(graph)):
        steps = _steps_before(graphs, node, ops)
        source = graph.producer[_passed(graphs, steps[-1])] if steps else NONE
        op = ops.get(source)
        if op is None or graphs.is_auxiliary(source):
            continue
        before = (source, *steps[1:])
        if any(values.same_shape(other, op) for other in before):
            continue
        if values.same_shape(node, op) and values.compatible(node, op):
            shaping.update(dict.fromkeys(steps, op))
    return shaping


def _steps_before(graphs: GraphPair, node: int, ops: Mapping[int, int]) -> list[int]:
    """An unpaired node that passes values on, then such nodes right before it, going backwards."""
    steps: list[int] = []
    while node != NONE and node not in ops and graphs.file.pass_through[node]:
        steps.append(node)
        node = graphs.file.graph.producer[_passed(graphs, node)]
    return steps


def _passed(graphs: GraphPair, node: int) -> int:
    """The value that a node passes on."""
    return graphs.file.graph.input_values(node)[0]
