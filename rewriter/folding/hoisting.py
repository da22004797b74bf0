"""Moving what one call computes for its siblings out of it.

Exporters compute a mask, a rotary table or a shape once, under the first layer that needs it,
and the other layers use it from there: so the first layer differs from all others. Such a
value's producing cone goes to the module around, unless it is the call's own work.
"""

from collections import defaultdict

from modelexport.rewriter.folding.fold_graph import Bench, Call, Item

_PRODUCTS = frozenset(
    {
        *("MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum", "Softmax", "Attention"),
        *("MatMulInteger", "QLinearMatMul", "QLinearConv", "ConvInteger"),
        *("LSTM", "GRU", "RNN", "LayerNormalization", "RMSNormalization"),
        *("BatchNormalization", "InstanceNormalization", "GroupNormalization"),
    }
)
"""Operators of ONNX that are a layer's own work, whoever uses what they give."""


def instances(bench: Bench, depth: int) -> dict[Call, list[Item]]:
    """The items of every call at one depth, in the order of the graph."""
    found: dict[Call, list[Item]] = {}
    for item in bench.items:
        if len(item.chain) > depth:
            found.setdefault(item.chain[depth], []).append(item)
    return found


def hoist(bench: Bench, class_of: dict[str, tuple[str, str]]) -> int:
    """Move shared cones up, from the innermost calls on; gives how many items moved.

    Args:
        bench: The graph, with chains.
        class_of: What kind of module a path is; calls of one kind are siblings.
    """
    moved = 0
    deepest = max((len(item.chain) for item in bench.items), default=0)
    for depth in reversed(range(deepest)):
        kinds: dict[tuple[str, str], dict[Call, list[Item]]] = defaultdict(dict)
        for call, items in instances(bench, depth).items():
            kinds[class_of[call.path]][call] = items
        for calls in kinds.values():
            if len(calls) > 1:
                moved += _hoist_kind(bench, calls, depth)
    return moved


def _hoist_kind(bench: Bench, calls: dict[Call, list[Item]], depth: int) -> int:
    escaping = {call: _escaping(bench, items, call, depth) for call, items in calls.items()}
    fewest = min(len(values) for values in escaping.values())
    moved = 0
    for call, values in escaping.items():
        own = max((item.position for item, _ in values), default=-1)
        for item, users in values:
            siblings = {
                user.chain[depth]
                for user in users
                if len(user.chain) > depth and user.chain[depth] in calls
            } - {call}
            if not siblings or (len(siblings) < 2 and len(values) <= fewest):
                continue
            cone = _cone(bench, item, call, depth, calls[call][0].position)
            if not any(c.position == own or c.node.op_type in _PRODUCTS for c in cone):
                for member in cone:
                    member.chain = member.chain[:depth]
                moved += len(cone)
    return moved


def _escaping(
    bench: Bench, items: list[Item], call: Call, depth: int
) -> list[tuple[Item, list[Item]]]:
    """Each value of a call that is used elsewhere: its maker, and the users elsewhere."""
    found = []
    for item in items:
        for name in filter(None, item.node.output):
            users = [
                u for u in bench.consumers.get(name, ()) if u.chain[depth : depth + 1] != (call,)
            ]
            if users or name in bench.outputs:
                found.append((item, users))
    return found


def _cone(bench: Bench, item: Item, call: Call, depth: int, first: int) -> list[Item]:
    """A node and all of its call that it needs, be it through nodes of other modules.

    Nodes before the first one of the call need nothing of it.
    """
    found: list[Item] = []
    seen: set[int] = set()
    waiting = [item]
    while waiting:
        each = waiting.pop()
        if id(each) in seen or each.position < first:
            continue
        seen.add(id(each))
        if each.chain[depth : depth + 1] == (call,):
            found.append(each)
        waiting.extend(bench.producers(each))
    return found
