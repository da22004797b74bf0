"""Which calls of which modules each node ran in.

The record counts calls, and annotated files carry the count. Where nobody counted (a file
that another tool annotated, say) the graph tells: the nodes of one call hang together, so a
module whose values leave it and come back was called again.
"""

from collections import Counter, defaultdict
from collections.abc import Callable

from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.tags import steps
from modelexport.rewriter.folding.fold_graph import Bench, Call, Item
from modelexport.support.prefixes import common_start

_Index = dict[int, int]


class Calls:
    """Gives every item of a bench its chain of calls.

    Args:
        bench: The graph; its items know their modules.
        tree: The modules.
    """

    def __init__(self, bench: Bench, tree: ModuleTree) -> None:
        self._bench = bench
        self._tree = tree
        self._counted = any(module.calls is not None for module in tree)
        self._paths: dict[str, list[str]] = {}
        self._position = {id(item): n for n, item in enumerate(bench.items)}
        self._members: dict[str, list[Item]] = defaultdict(list)
        for item in bench.items:
            for path in self._above(item):
                self._members[path].append(item)
        self._index: dict[str, _Index] = {}

    def assign(self) -> None:
        """Fill in the chains."""
        for path in sorted(self._members, key=lambda p: -len(p.split("."))):
            self._index[path] = self._indices(path)
        for item in self._bench.items:
            item.chain = tuple(
                Call(path, self._index[path].get(id(item), 0)) for path in self._above(item)
            )
        for item in reversed(self._bench.items):
            if item.module is None:
                item.chain = self._of_users(item)

    def _above(self, item: Item) -> list[str]:
        """Paths of the modules that ran when a node did, its own last; without the root."""
        if not item.module:
            return []
        found = self._paths.get(item.module)
        if found is None:
            found = self._paths[item.module] = self._running(item.module)
        return found

    def _running(self, path: str) -> list[str]:
        if not self._counted:
            names: list[str] = []
            for step in steps(path):
                names.append(f"{names[-1]}.{step}" if names else step)
            return names
        parts = path.split(".")
        every = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
        return [p for p in every if p == path or (p in self._tree and self._tree[p].calls != 0)]

    def _indices(self, path: str) -> _Index:
        members = self._members[path]
        times = self._times(path)
        if times == 1:
            return {}
        known = {
            id(item): k for item in members if (k := self._counted_call(item, path)) is not None
        }
        if not known:
            return self._derived(path, members)
        self._fill(members, known, self._bench.users, min, reverse=True)
        self._fill(members, known, self._bench.producers, max, reverse=False)
        return known if _uniform(members, known) else self._told_apart(members, known)

    def _told_apart(self, members: list[Item], known: _Index) -> _Index:
        """Calls of one number that are several, when the graph tells them apart.

        An exporter may count the calls of a shared module anew under each of its paths.
        """
        levels = self._returns(members)
        pairs = {id(item): (known.get(id(item), 0), levels.get(id(item), 0)) for item in members}
        numbers: dict[tuple[int, int], int] = {}
        for item in members:
            numbers.setdefault(pairs[id(item)], len(numbers))
        found = {number: numbers[pair] for number, pair in pairs.items()}
        return found if _uniform(members, found) else known

    def _times(self, path: str) -> int | None:
        return self._tree[path].calls if path in self._tree else None

    def _counted_call(self, item: Item, path: str) -> int | None:
        """The call of a module that a node ran in, by the call of its own module."""
        if item.module is None or item.call is None:
            return None
        if item.module == path:
            return item.call
        own, above = self._times(item.module), self._times(path)
        if not own or not above or own % above:
            return None
        return item.call // (own // above)

    def _fill(
        self,
        members: list[Item],
        known: _Index,
        neighbours: Callable[[Item], object],
        pick: Callable[[list[int]], int],
        *,
        reverse: bool,
    ) -> None:
        for item in reversed(members) if reverse else members:
            if id(item) not in known:
                around = [known[id(n)] for n in neighbours(item) if id(n) in known]  # type: ignore[attr-defined]
                if around:
                    known[id(item)] = pick(around)

    def _derived(self, path: str, members: list[Item]) -> _Index:
        """Calls as the graph tells them; believed when all of them do the same."""
        for found in (self._of_children(path, members), self._returns(members)):
            if len(set(found.values())) > 1 and _uniform(members, found):
                return found
        return {}

    def _of_children(self, path: str, members: list[Item]) -> _Index:
        """By the calls of the modules inside, when these agree on how many there were."""
        inside = {p for item in members for p in self._above(item) if p.startswith(path + ".")}
        counts = {max(self._index[p].values(), default=0) for p in inside if self._index.get(p)}
        if len(counts) != 1:
            return {}
        known: _Index = {}
        for child in inside:
            known.update(self._index.get(child, {}))
        self._fill(members, known, self._bench.producers, max, reverse=False)
        self._fill(members, known, self._bench.users, min, reverse=True)
        return known

    def _returns(self, members: list[Item]) -> _Index:
        """How often the data has left the module and come back, at each of its nodes."""
        inside = set(map(id, members))
        start = self._position[id(members[0])]
        end = self._position[id(members[-1])]
        level: _Index = {}
        for item in self._bench.items[start : end + 1]:
            mine = id(item) in inside
            best = 0 if mine else -1
            for maker in self._bench.producers(item):
                before = level.get(id(maker), -1)
                if before >= 0:
                    best = max(best, before + (mine and id(maker) not in inside))
            if best >= 0:
                level[id(item)] = best
        return {number: k for number, k in level.items() if number in inside}

    def _of_users(self, item: Item) -> tuple[Call, ...]:
        """What the users of a node without a module have in common."""
        return common_start(user.chain for user in self._bench.users(item))


def _uniform(members: list[Item], found: _Index) -> bool:
    """Whether all calls have the same operators."""
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for item in members:
        counts[found.get(id(item), 0)][item.node.op_type] += 1
    kinds = list(counts.values())
    return all(kind == kinds[0] for kind in kinds)
