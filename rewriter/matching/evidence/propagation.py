"""Evidence *propagation*: a node without a module of its own belongs to those that use it.

Constants, casts, shape arithmetic, and nodes whose scope the exporter lost get the lowest
common ancestor of their consumers; a node that nobody with a module uses (the last Identity
before an output) that of its producers. Repeated until nothing changes.
"""

from collections.abc import Iterable

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.claims import Claim, Claims

_Modules = list[str | None]


class Propagation:
    """Fills in what lies between nodes whose modules are known.

    Args:
        graph: The nodes of the model.
        tree: The modules.
        anywhere: Nodes that are known to be of the model, so that their place among the
            others tells their module whatever they compute.
    """

    def __init__(self, graph: ModelGraph, tree: ModuleTree, anywhere: Iterable[NodeKey]) -> None:
        self._graph = graph
        self._tree = tree
        known = set(anywhere)
        self._open = [key in known or graph.is_auxiliary(n) for n, key in enumerate(graph.keys)]

    def claims(self, settled: dict[NodeKey, str]) -> Claims:
        """Claims for nodes that are not settled.

        Args:
            settled: The modules that stronger evidence gave.
        """
        modules: _Modules = [settled.get(key) for key in self._graph.keys]
        found = Claims()
        if not settled or all(module is not None for module in modules):
            return found
        order = [n for n in self._graph.consumers_first() if modules[n] is None]
        while self._pass(order, modules, found):
            order = [n for n in order if modules[n] is None]
        for number in order:
            if modules[number] is None:
                found.reasons[self._graph.keys[number]] = self._why_not(number, modules)
        return found

    def _pass(self, order: list[int], modules: _Modules, found: Claims) -> bool:
        """One round: users settle makers, else the surrounded, else makers settle users."""
        steps = (
            (order, self._from_users),
            (order, self._surrounded),
            (order[::-1], self._from_makers),
        )
        for numbers, origins in steps:
            before = len(found.by_node)
            for number in numbers:
                self._settle(number, origins(number, modules), modules, found)
            if len(found.by_node) > before:
                return True
        return False

    def _settle(self, number: int, origins: set[str], modules: _Modules, found: Claims) -> None:
        if not origins or modules[number] is not None:
            return
        module = self._tree.common_ancestor(sorted(origins))
        covers = tuple(sorted(origins)) if len(origins) > 1 else ()
        modules[number] = module
        found.by_node[self._graph.keys[number]] = Claim(module, EvidenceKind.PROPAGATION, covers)

    def _from_users(self, number: int, modules: _Modules) -> set[str]:
        if not self._open[number]:
            return set()
        users = self._graph.successors[number]
        if any(modules[user] is None and not self._open[user] for user in users):
            return set()
        return {module for user in users if (module := modules[user]) is not None}

    def _from_makers(self, number: int, modules: _Modules) -> set[str]:
        if not self._open[number] or any(modules[u] is None for u in self._computing_users(number)):
            return set()
        makers = self._graph.predecessors[number]
        return {module for maker in makers if (module := modules[maker]) is not None}

    def _computing_users(self, number: int) -> list[int]:
        return [user for user in self._graph.successors[number] if not self._open[user]]

    def _surrounded(self, number: int, modules: _Modules) -> set[str]:
        """The one module that all neighbours share, for a node that computes."""
        makers, users = self._graph.predecessors[number], self._graph.successors[number]
        around = {modules[n] for n in (*makers, *users)}
        if not makers or not users or len(around) != 1:
            return set()
        return {module for module in around if module is not None}

    def _why_not(self, number: int, modules: _Modules) -> str:
        if not self._open[number]:
            return "it computes, and its neighbours are of several modules or unresolved"
        if not self._graph.successors[number] and not self._graph.predecessors[number]:
            return "no other node uses it or feeds it"
        if any(modules[user] is None for user in self._computing_users(number)):
            return "a node that uses it is unresolved"
        return "no neighbour has a module"
