"""Moving work out of a call that the call does for its siblings, too.

Exporters compute a mask, a rotary table or a shape once, in the first layer that needs it, and
the other layers read it from there. So the first layer differs from all others. Such a value,
and all that is needed to compute it, is moved to the module around the layers, unless it is the
layer's own work.
"""

from collections import defaultdict
from typing import NamedTuple

from modelexport.rewriter.folding.fold_graph import Call, FoldGraph, FoldNode

_OWN_WORK = frozenset(
    {
        *("MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum", "Softmax", "Attention"),
        *("MatMulInteger", "QLinearMatMul", "QLinearConv", "ConvInteger"),
        *("LSTM", "GRU", "RNN", "LayerNormalization", "RMSNormalization"),
        *("BatchNormalization", "InstanceNormalization", "GroupNormalization"),
    }
)
"""Operators of ONNX that are a layer's own work, whichever layers use their outputs."""


class _SharedValue(NamedTuple):
    """A value of a call that is used outside the call."""

    producer: FoldNode
    outside_consumers: list[FoldNode]


def hoist(graph: FoldGraph, class_of: dict[str, tuple[str, str]]) -> int:
    """Move shared work out of calls, from the innermost calls on.

    Args:
        graph: The graph; its nodes know their calls.
        class_of: The class of each module path. Calls of one class are siblings.

    Returns:
        How many nodes were moved.
    """
    moved = 0
    for depth in reversed(range(graph.depth)):
        siblings: dict[tuple[str, str], dict[Call, list[FoldNode]]] = defaultdict(dict)
        for call, nodes in graph.calls_at(depth).items():
            siblings[class_of[call.path]][call] = nodes
        for calls in siblings.values():
            if len(calls) > 1:
                moved += _hoist_siblings(graph, calls, depth)
    return moved


def _hoist_siblings(graph: FoldGraph, calls: dict[Call, list[FoldNode]], depth: int) -> int:
    shared = {call: _shared_values(graph, nodes, call, depth) for call, nodes in calls.items()}
    fewest = min(len(values) for values in shared.values())
    moved = 0
    for call, values in shared.items():
        # the last value that leaves a call is its result
        result = max((producer.position for producer, _ in values), default=-1)
        for producer, consumers in values:
            users = _calls_at_depth(consumers, depth) & calls.keys() - {call}
            if not users or (len(users) < 2 and len(values) <= fewest):
                continue
            first = calls[call][0]
            needed = _nodes_needed(graph, producer, call, depth, first.position)
            if any(n.position == result or n.proto.op_type in _OWN_WORK for n in needed):
                continue
            graph.move(needed, first.chain[:depth])
            moved += len(needed)
    return moved


def _calls_at_depth(nodes: list[FoldNode], depth: int) -> set[Call]:
    return {node.chain[depth] for node in nodes if len(node.chain) > depth}


def _shared_values(
    graph: FoldGraph, nodes: list[FoldNode], call: Call, depth: int
) -> list[_SharedValue]:
    """The values of one call that are used outside it, in the order of the graph."""
    values = []
    for node in nodes:
        for name in node.outputs:
            consumers = [c for c in graph.consumers.get(name, ()) if not _ran_in(c, call, depth)]
            if consumers or name in graph.outputs:
                values.append(_SharedValue(node, consumers))
    return values


def _nodes_needed(
    graph: FoldGraph, node: FoldNode, call: Call, depth: int, first: int
) -> list[FoldNode]:
    """A node and all nodes of a call that it needs, also through nodes of other modules.

    Args:
        graph: The graph.
        node: The node.
        call: The call.
        depth: Depth of the call.
        first: Position of the call's first node. Nodes before it need nothing of the call.
    """
    needed: list[FoldNode] = []
    visited: set[int] = set()
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if id(current) in visited or current.position < first:
            continue
        visited.add(id(current))
        if _ran_in(current, call, depth):
            needed.append(current)
        waiting.extend(graph.producers_of(current))
    return needed


def _ran_in(node: FoldNode, call: Call, depth: int) -> bool:
    return len(node.chain) > depth and node.chain[depth] == call
