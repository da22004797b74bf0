"""Which groups of nodes can each become one node without closing a cycle."""

from modelexport.rewriter.folding.connected_components import strongly_connected
from modelexport.rewriter.folding.fold_graph import Call, FoldGraph, FoldNode

Groups = dict[Call, list[FoldNode]]
"""The nodes of each call."""


def without_cycles(graph: FoldGraph, groups: Groups) -> tuple[Groups, dict[Call, str]]:
    """Choose groups that can all be contracted to one node each.

    A node between two nodes of a call may belong to a module around the call. It is moved into
    the call if nothing else uses it.

    Args:
        graph: The graph, in an order in which it can run.
        groups: Disjoint groups of its nodes.

    Returns:
        The groups, and the reason for each group that was left out.
    """
    contractible, reasons = dict(groups), {}
    for attempt in range(len(groups) + 1):
        cycles = [c for c in _components(graph, contractible) if len(c) > 1]
        if not cycles:
            break
        for cycle in cycles:
            calls = [vertex for vertex in cycle if isinstance(vertex, Call)]
            between = [vertex for vertex in cycle if isinstance(vertex, FoldNode)]
            if not attempt and len(calls) == 1:
                extended = _extended(graph, contractible[calls[0]], calls[0], between)
                if extended is not None:
                    contractible[calls[0]] = extended
                    continue
            largest = max(calls, key=lambda call: len(contractible[call]))
            reasons[largest] = _reason(between, calls)
            del contractible[largest]
    return contractible, reasons


def _extended(
    graph: FoldGraph, group: list[FoldNode], call: Call, between: list[FoldNode]
) -> list[FoldNode] | None:
    """A group with the nodes between its nodes; None if others use these nodes too."""
    members = set(map(id, (*group, *between)))
    chain = group[0].chain
    chain = chain[: chain.index(call) + 1]
    for node in between:
        if node.chain != chain[: len(node.chain)]:
            return None
        if any(name in graph.outputs for name in node.outputs):
            return None
        if any(id(consumer) not in members for consumer in graph.consumers_of(node)):
            return None
    graph.move(between, chain)
    return [node for node in graph.nodes if id(node) in members]


def _reason(between: list[FoldNode], calls: list[Call]) -> str:
    if between:
        node = between[0]
        module = node.module or ("the root" if node.module == "" else "no module")
        return f"{node.proto.op_type} {node.proto.name} of {module} stands between its nodes"
    paths = ", ".join(call.path for call in calls[:3])
    return f"its nodes and those of other calls alternate ({paths})"


def _components(graph: FoldGraph, groups: Groups) -> list[list[Call | FoldNode]]:
    """Strongly connected components of the graph in which each group is one vertex."""
    vertex_of: dict[FoldNode, Call | FoldNode] = {node: node for node in graph.nodes}
    vertex_of.update((node, call) for call, nodes in groups.items() for node in nodes)
    successors: dict[Call | FoldNode, list[Call | FoldNode]] = {}
    for node in graph.nodes:
        targets = successors.setdefault(vertex_of[node], [])
        targets.extend(vertex_of[consumer] for consumer in graph.consumers_of(node))
    return strongly_connected(successors)
