"""In which calls of which modules each node ran.

The record counts the calls of a module, and annotated files carry the count. If they were not
counted (for example in a file that another tool annotated), they are derived from the graph: the
nodes of one call are connected, so if values leave a module and come back, it was called again.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.tags import path_steps
from modelexport.rewriter.folding.fold_graph import Call, Chain, FoldGraph, FoldNode
from modelexport.support.prefixes import common_prefix

_Numbers = dict[int, int]
"""Number of the call in which each node ran, by identity of the node."""


def call_chains(graph: FoldGraph, tree: ModuleTree) -> dict[int, Chain]:
    """Find the calls in which each node ran.

    Args:
        graph: The graph; its nodes know their modules.
        tree: The modules.

    Returns:
        The chain of calls by identity of the node.
    """
    return _CallFinder(graph, tree).chains()


class _CallFinder:
    """One run of `call_chains`."""

    def __init__(self, graph: FoldGraph, tree: ModuleTree) -> None:
        self._graph = graph
        self._tree = tree
        self._tree_counts_calls = any(module.calls is not None for module in tree)
        self._running_by_module: dict[str, list[str]] = {}
        self._position = {id(node): n for n, node in enumerate(graph.nodes)}
        self._members: dict[str, list[FoldNode]] = defaultdict(list)
        for node in graph.nodes:
            for path in self._running_modules(node):
                self._members[path].append(node)
        self._numbers: dict[str, _Numbers] = {}

    def chains(self) -> dict[int, Chain]:
        """The chain of every node."""
        for path in sorted(self._members, key=lambda p: -len(p.split("."))):
            self._numbers[path] = self._call_numbers(path)
        chains = {
            id(node): tuple(
                Call(path, self._numbers[path].get(id(node), 0))
                for path in self._running_modules(node)
            )
            for node in self._graph.nodes
        }
        for node in reversed(self._graph.nodes):
            if node.module is None:  # it belongs to the calls that all its consumers share
                consumers = self._graph.consumers_of(node)
                chains[id(node)] = common_prefix(chains[id(consumer)] for consumer in consumers)
        return chains

    def _running_modules(self, node: FoldNode) -> list[str]:
        """Paths of the modules that ran when a node ran, its own last, without the root."""
        if not node.module:
            return []
        running = self._running_by_module.get(node.module)
        if running is None:
            running = self._running_by_module[node.module] = self._called_ancestors(node.module)
        return running

    def _called_ancestors(self, path: str) -> list[str]:
        """The modules from the root down to a module, without those that are never called."""
        if not self._tree_counts_calls:
            names: list[str] = []
            for step in path_steps(path):
                names.append(f"{names[-1]}.{step}" if names else step)
            return names
        parts = path.split(".")
        prefixes = [".".join(parts[:length]) for length in range(1, len(parts) + 1)]
        return [p for p in prefixes if p == path or (p in self._tree and self._tree[p].calls != 0)]

    def _call_numbers(self, path: str) -> _Numbers:
        """In which call of a module each of its nodes ran; nodes that are missing: the first."""
        members = self._members[path]
        if self._times_called(path) == 1:
            return {}
        numbers = {
            id(node): number
            for node in members
            if (number := self._counted_call(node, path)) is not None
        }
        if not numbers:
            return self._derived_numbers(path, members)
        numbers = _filled(members[::-1], numbers, self._graph.consumers_of, min)
        numbers = _filled(members, numbers, self._graph.producers_of, max)
        return numbers if _same_operators(members, numbers) else self._split(members, numbers)

    def _split(self, members: list[FoldNode], numbers: _Numbers) -> _Numbers:
        """Split calls that share a number, if the graph shows that they are several.

        An exporter may count the calls of a shared module from 0 again under each of its paths.
        """
        returns = self._returns(members)
        pairs = {id(node): (numbers.get(id(node), 0), returns.get(id(node), 0)) for node in members}
        number_of_pair: dict[tuple[int, int], int] = {}
        for node in members:
            number_of_pair.setdefault(pairs[id(node)], len(number_of_pair))
        split = {node: number_of_pair[pair] for node, pair in pairs.items()}
        return split if _same_operators(members, split) else numbers

    def _times_called(self, path: str) -> int | None:
        return self._tree[path].calls if path in self._tree else None

    def _counted_call(self, node: FoldNode, path: str) -> int | None:
        """In which call of a module a node ran, calculated from the call of its own module."""
        if node.module is None or node.call_number is None:
            return None
        if node.module == path:
            return node.call_number
        inner, outer = self._times_called(node.module), self._times_called(path)
        if not inner or not outer or inner % outer:
            return None
        return node.call_number // (inner // outer)

    def _derived_numbers(self, path: str, members: list[FoldNode]) -> _Numbers:
        """Calls as the graph shows them; accepted if all of them have the same operators."""
        for numbers in self._candidate_numbers(path, members):
            if len(set(numbers.values())) > 1 and _same_operators(members, numbers):
                return numbers
        return {}

    def _candidate_numbers(self, path: str, members: list[FoldNode]) -> Iterator[_Numbers]:
        yield self._numbers_of_children(path, members)
        yield self._returns(members)

    def _numbers_of_children(self, path: str, members: list[FoldNode]) -> _Numbers:
        """The calls of the modules inside, if all of these were called equally often."""
        running = (p for node in members for p in self._running_modules(node))
        inside = dict.fromkeys(p for p in running if p.startswith(path + "."))
        called = [self._numbers[p] for p in inside if self._numbers.get(p)]
        if len({max(numbers.values()) for numbers in called}) != 1:
            return {}
        merged: _Numbers = {}
        for numbers in called:
            merged.update(numbers)
        merged = _filled(members, merged, self._graph.producers_of, max)
        return _filled(members[::-1], merged, self._graph.consumers_of, min)

    def _returns(self, members: list[FoldNode]) -> _Numbers:
        """How often the data has left the module and come back, at each of its nodes."""
        inside = set(map(id, members))
        start = self._position[id(members[0])]
        end = self._position[id(members[-1])]
        level: _Numbers = {}
        for node in self._graph.nodes[start : end + 1]:
            is_member = id(node) in inside
            highest = 0 if is_member else -1
            for producer in self._graph.producers_of(node):
                before = level.get(id(producer), -1)
                if before >= 0:
                    highest = max(highest, before + (is_member and id(producer) not in inside))
            if highest >= 0:
                level[id(node)] = highest
        return {node: number for node, number in level.items() if node in inside}


def _filled(
    members: list[FoldNode],
    numbers: _Numbers,
    neighbours_of: Callable[[FoldNode], Iterator[FoldNode]],
    pick: Callable[[list[int]], int],
) -> _Numbers:
    """Give the nodes without a number one of their neighbours' numbers.

    Args:
        members: The nodes, in the order in which they are filled.
        numbers: The known numbers.
        neighbours_of: Producers or consumers of a node.
        pick: Chooses one of several numbers.
    """
    filled = dict(numbers)
    for node in members:
        if id(node) not in filled:
            candidates = [filled[id(n)] for n in neighbours_of(node) if id(n) in filled]
            if candidates:
                filled[id(node)] = pick(candidates)
    return filled


def _same_operators(members: list[FoldNode], numbers: _Numbers) -> bool:
    """Whether all calls have the same operators."""
    by_call: dict[int, Counter[str]] = defaultdict(Counter)
    for node in members:
        by_call[numbers.get(id(node), 0)][node.proto.op_type] += 1
    first, *others = by_call.values()
    return all(operators == first for operators in others)
