"""Evidence *propagation*: a node without a module of its own belongs to the nodes that use it.

Constants, casts, shape arithmetic, and nodes whose scope the exporter lost get the lowest
common ancestor of the modules that read their results. A node that no module reads (the last
Identity before an output) gets that of the modules whose results it reads. This is repeated
until nothing changes.
"""

from collections.abc import Collection, Mapping

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.claims import Claim, Claims


def propagate(
    graph: ModelGraph,
    tree: ModuleTree,
    known_nodes: Collection[NodeKey],
    modules: Mapping[NodeKey, str],
    not_recorded: Collection[NodeKey] = (),
) -> Claims:
    """Claims for the nodes that lie between decided nodes.

    Args:
        graph: The nodes of the model.
        tree: The modules.
        known_nodes: Nodes that are known to be of the model, without a known module. They get the
            module of their neighbours, whatever they compute.
        modules: The modules of settled nodes.
        not_recorded: Nodes of modules that the recorded model does not have. Their neighbours do
            not tell their module.
    """
    if not modules or all(key in modules for key in graph.keys):
        return Claims()
    return _Propagation(graph, tree, known_nodes, modules, not_recorded).run()


class _Propagation:
    """Settles nodes in rounds. Nodes are numbered as in the graph.

    A node is *flexible* if it may take the module of its neighbours: it computes nothing of its
    own, or is known to belong to the model. A node that the recorded model does not have is not
    flexible.
    """

    def __init__(
        self,
        graph: ModelGraph,
        tree: ModuleTree,
        known_nodes: Collection[NodeKey],
        modules: Mapping[NodeKey, str],
        not_recorded: Collection[NodeKey],
    ) -> None:
        self._graph = graph
        self._tree = tree
        self._flexible = [
            key not in not_recorded and (key in known_nodes or graph.is_auxiliary(node))
            for node, key in enumerate(graph.keys)
        ]
        self._modules = [modules.get(key) for key in graph.keys]
        self._claims = Claims()

    def run(self) -> Claims:
        """Decide about all nodes that neighbours can decide; the others get a reason."""
        pending = [n for n in self._graph.consumers_first() if self._modules[n] is None]
        while self._run_round(pending):
            pending = [node for node in pending if self._modules[node] is None]
        for node in pending:
            self._claims.reasons[self._graph.keys[node]] = self._why_open(node)
        return self._claims

    def _run_round(self, pending: list[int]) -> bool:
        """Decide about nodes by the first of three rules that applies; False if none does."""
        rules = (
            (pending, self._from_successors),
            (pending, self._from_surroundings),
            (pending[::-1], self._from_predecessors),
        )
        for nodes, rule in rules:
            before = len(self._claims.by_node)
            for node in nodes:
                self._settle(node, rule(node))
            if len(self._claims.by_node) > before:
                return True
        return False

    def _settle(self, node: int, origins: set[str]) -> None:
        if not origins:
            return
        module = self._tree.common_ancestor(sorted(origins))
        covers = tuple(sorted(origins)) if len(origins) > 1 else ()
        self._modules[node] = module
        claim = Claim(module, EvidenceKind.PROPAGATION, covers)
        self._claims.by_node[self._graph.keys[node]] = claim

    def _from_successors(self, node: int) -> set[str]:
        """The modules of a flexible node's readers, once all computing readers are decided."""
        if not self._flexible[node] or self._has_open_reader(node):
            return set()
        return self._known_modules(self._graph.successors[node])

    def _from_surroundings(self, node: int) -> set[str]:
        """The module of all neighbours, if they have the same one."""
        before, after = self._graph.predecessors[node], self._graph.successors[node]
        modules = {self._modules[other] for other in (*before, *after)}
        if not before or not after or len(modules) != 1:
            return set()
        return {module for module in modules if module is not None}

    def _from_predecessors(self, node: int) -> set[str]:
        """The modules of nodes that a flexible node reads, if no computing reader is open."""
        if not self._flexible[node] or self._has_open_reader(node):
            return set()
        return self._known_modules(self._graph.predecessors[node])

    def _known_modules(self, nodes: Collection[int]) -> set[str]:
        return {module for node in nodes if (module := self._modules[node]) is not None}

    def _has_open_reader(self, node: int) -> bool:
        """Whether a node that computes reads a node, and has no module."""
        return any(
            self._modules[other] is None and not self._flexible[other]
            for other in self._graph.successors[node]
        )

    def _why_open(self, node: int) -> str:
        if not self._flexible[node]:
            return "it computes, and its neighbours are of several modules or unresolved"
        if not self._graph.successors[node] and not self._graph.predecessors[node]:
            return "no other node uses it or feeds it"
        if self._has_open_reader(node):
            return "a node that uses it is unresolved"
        return "no neighbour has a module"
