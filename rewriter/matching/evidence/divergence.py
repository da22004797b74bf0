"""Where a related model differs from the recorded one: new nodes, and what follows from them."""

from collections.abc import Callable, Collection

from modelexport.rewriter.graph.graph_view import GraphView
from modelexport.rewriter.graph.indexed_graph import NONE, IndexedGraph

IsRecorded = Callable[[int], bool | None]
"""Tells whether a node computes something that was recorded; None when it is not known."""


def find_diverged(graph: IndexedGraph, is_recorded: IsRecorded) -> frozenset[int]:
    """Nodes that compute or read something new, and from which no recorded value is computed.

    Args:
        graph: The file.
        is_recorded: Whether the result of a node was recorded.
    """
    recorded = [is_recorded(node) for node in range(len(graph))]
    pending = [node for node, flag in enumerate(recorded) if flag]
    followed = set(pending)
    while pending:
        for value in graph.input_values(pending.pop()):
            producer = graph.producer[value]
            if producer != NONE and producer not in followed:
                followed.add(producer)
                pending.append(producer)
    diverged: set[int] = set()
    for node, flag in enumerate(recorded):
        if node in followed or graph.derived[node]:
            continue
        if flag is False or any(graph.producer[v] in diverged for v in graph.input_values(node)):
            diverged.add(node)
    return frozenset(diverged)


def find_new_nodes(
    view: GraphView,
    new: Collection[int],
    recorded_weights: Collection[int],
    is_recorded: IsRecorded,
) -> frozenset[int]:
    """Nodes that do the work of modules which the record does not have.

    They read a new weight, or nothing but what such nodes compute.

    Args:
        view: The file.
        new: Weights that the recorded model does not have.
        recorded_weights: Weights that it has.
        is_recorded: Whether the result of a node was recorded.
    """
    graph = view.graph
    new_values = set(new)
    nodes: set[int] = set()
    for node in range(len(graph)) if new else ():
        values = view.inputs(node)
        computed = [v for v in values if graph.producer[v] != NONE and not graph.is_constant(v)]
        only_new = bool(computed) and all(value in new_values for value in computed)
        reads_new = any(v in new_values for v in values if v not in computed)
        if not (only_new or reads_new) or any(value in recorded_weights for value in values):
            continue
        if not is_recorded(node):
            new_values.update(graph.output_values(node))
            if not graph.derived[node]:
                nodes.add(node)
    return frozenset(nodes)
