"""Which groups of nodes can become one node each without closing a cycle."""

from collections.abc import Iterator

from modelexport.rewriter.folding.fold_graph import Bench, Call, Item

Groups = dict[Call, list[Item]]


def acyclic(bench: Bench, groups: Groups) -> tuple[Groups, dict[Call, str]]:
    """The groups that can all be contracted, and why the others cannot.

    A node between two nodes of a call that belongs to a module around it is taken in when
    nobody else uses it.

    Args:
        bench: The graph, in an order that runs.
        groups: Disjoint groups of its items.
    """
    good, refused = dict(groups), {}
    for attempt in range(len(groups) + 1):
        cycles = [c for c in _components(bench, good) if len(c) > 1]
        if not cycles:
            break
        for cycle in cycles:
            calls = [each for each in cycle if isinstance(each, Call)]
            between = [each for each in cycle if isinstance(each, Item)]
            if not attempt and len(calls) == 1 and _taken_in(bench, good, calls[0], between):
                continue
            worst = max(calls, key=lambda call: len(good[call]))
            refused[worst] = _why(between, calls)
            del good[worst]
    return good, refused


def _taken_in(bench: Bench, groups: Groups, call: Call, between: list[Item]) -> bool:
    """Take in what stands between the nodes of a call, if it is the call's alone."""
    members = set(map(id, (*groups[call], *between)))
    chain = groups[call][0].chain
    chain = chain[: chain.index(call) + 1]
    for item in between:
        if item.chain != chain[: len(item.chain)]:
            return False
        if any(name in bench.outputs for name in item.node.output):
            return False
        if any(id(user) not in members for user in bench.users(item)):
            return False
    for item in between:
        item.chain = chain
    order = {id(item): n for n, item in enumerate(bench.items)}
    groups[call] = sorted((*groups[call], *between), key=lambda item: order[id(item)])
    return True


def _why(between: list[Item], calls: list[Call]) -> str:
    if between:
        item = between[0]
        whose = item.module or ("the root" if item.module == "" else "no module")
        return f"{item.node.op_type} {item.node.name} of {whose} stands between its nodes"
    others = ", ".join(call.path for call in calls[:3])
    return f"its nodes and those of other calls alternate ({others})"


def _components(bench: Bench, groups: Groups) -> list[list[Call | Item]]:
    """Strongly connected components of the graph of groups and other items (Tarjan 1972)."""
    of = {id(item): call for call, items in groups.items() for item in items}
    nodes: dict[object, Call | Item] = {}
    following: dict[object, list[object]] = {}
    for item in bench.items:
        key: object = of.get(id(item), id(item))
        nodes.setdefault(key, of.get(id(item), item))
        targets = following.setdefault(key, [])
        targets.extend(of.get(id(user), id(user)) for user in bench.users(item))
    return [[nodes[key] for key in component] for component in _strong(following)]


def _strong(following: dict[object, list[object]]) -> list[list[object]]:
    """Strongly connected components of a graph, given the successors of each node."""
    number: dict[object, int] = {}
    low: dict[object, int] = {}
    stack: list[object] = []
    on_stack: set[object] = set()
    found: list[list[object]] = []
    for start in following:
        if start in number:
            continue
        work: list[tuple[object, Iterator[object]]] = []

        def enter(key: object, work: list[tuple[object, Iterator[object]]] = work) -> None:
            number[key] = low[key] = len(number)
            stack.append(key)
            on_stack.add(key)
            work.append((key, iter(following[key])))

        enter(start)
        while work:
            key, rest = work[-1]
            follower = next(rest, None)
            if follower is None:
                work.pop()
                if work:
                    above = work[-1][0]
                    low[above] = min(low[above], low[key])
                if low[key] == number[key]:
                    component = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        component.append(member)
                        if member == key:
                            break
                    found.append(component)
            elif follower not in number:
                enter(follower)
            elif follower in on_stack:
                low[key] = min(low[key], number[follower])
    return found
