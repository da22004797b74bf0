"""In which call of its module each node ran.

Tools add nodes that were not recorded, for example around a quantised product. Such a node has a
module, and it belongs to the same call as the nodes that read its results.
"""

from collections.abc import Iterable, Sequence

from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching import Claim


def node_calls(graph: ModelGraph, claims: Sequence[Claim | None], tree: ModuleTree) -> list[int]:
    """The call of each node's module, from 0.

    If it is unknown, it is the call of a node of the same module that reads the node's results;
    else of a node that computes what it reads; else the first call. Of several such calls it is the
    first.

    Args:
        graph: The graph.
        claims: The module of each node, and its call where that is known.
        tree: The modules, with the number of their calls.
    """
    calls: list[int | None] = [None if claim is None else claim.call for claim in claims]
    unknown = [
        node
        for node in graph.consumers_first()
        if calls[node] is None and (claim := claims[node]) is not None and _repeats(tree, claim)
    ]

    def settle(nodes: Iterable[int], neighbours: Sequence[Sequence[int]]) -> None:
        for node in nodes:
            own, nearby = claims[node], neighbours[node]
            numbers = [calls[n] for n in nearby if own and _is_same(claims[n], own)]
            if calls[node] is None:
                calls[node] = min((n for n in numbers if n is not None), default=None)

    if unknown:
        settle(unknown, graph.successors)
        settle(reversed(unknown), graph.predecessors)
    return [call or 0 for call in calls]


def _repeats(tree: ModuleTree, claim: Claim) -> bool:
    return claim.module in tree and (tree[claim.module].calls or 0) > 1


def _is_same(claim: Claim | None, other: Claim) -> bool:
    return claim is not None and claim.module == other.module
