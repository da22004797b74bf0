"""A node that reads a module's parameter gets that module, unless something contradicts it."""

from collections.abc import Collection

from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.graph_paths import MAIN, NodeKey
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.tracer.exporters.exported import ExportedGraph, Scope
from modelexport.tracer.records.graph_reads import Value
from modelexport.tracer.records.parameter_index import ParameterIndex
from modelexport.tracer.records.scope_inference import NodeSightings, possible_modules


def parameter_scopes(
    observed: NodeSightings,
    exported: ExportedGraph,
    owners: "ParameterOwners",
    open_nodes: Collection[NodeKey],
) -> dict[NodeKey, Scope]:
    """The scopes of nodes that read the parameters of one module.

    Two things contradict it. The module was not called in the eager run (its parent reads its
    weight). Or other modules computed the node's value from what the node reads.

    Args:
        observed: What the eager run shows.
        exported: The exported graph.
        owners: Knows whose parameter an initializer may be.
        open_nodes: The nodes without a scope.
    """
    reading = {key: names for key in open_nodes if (names := observed.reads.initializers(key))}
    needed = {name for names in reading.values() for name in names}
    values = {
        (graph, name): array
        for graph, name, array in (exported.initializers() if needed else ())
        if (graph, name) in needed
    }
    modules = {value: owners.modules(value, array) for value, array in values.items()}
    scopes = {}
    for key, names in reading.items():
        module = _only_owner([modules[name] for name in names if modules.get(name)])
        possible = possible_modules(observed, key)
        if module in observed.tracker.order and (not possible or module in possible):
            scopes[key] = Scope(module, _first_call(observed, key, module))
    return scopes


def _only_owner(owners: list[set[str]]) -> str | None:
    """The one module that may own all parameters that a node reads."""
    common = set.intersection(*owners) if owners else set()
    return common.pop() if len(common) == 1 else None


def _first_call(observed: NodeSightings, key: NodeKey, module: str) -> int:
    """The first call of a module that may be in the graph of a node."""
    inside = observed.tracker.calls_in_operators.get(module, ())
    return min(inside, default=0) if key.graph != MAIN else 0


class ParameterOwners:
    """The modules whose parameter an initializer may be.

    Exporters merge equal parameters. Then each module of such a parameter may be the owner. The
    same holds for a parameter that modules share.

    Args:
        index: The parameters of the model.
        tree: The modules.
    """

    def __init__(self, index: ParameterIndex, tree: ModuleTree) -> None:
        self._index = index
        self._tree = tree
        self._sharing: dict[str, set[str]] = {}
        for module in tree:
            for parameter in (*module.parameters, *module.buffers):
                if parameter.tied_to is not None:
                    path = tree.canonical(module.path)
                    self._sharing.setdefault(parameter.tied_to, set()).add(path)

    def modules(self, value: Value, array: Array | None) -> set[str]:
        """The modules that may own an initializer.

        Args:
            value: The initializer.
            array: Its content; None where nobody knows it.
        """
        names = self._index.equal(value[1], array)
        owners = {owner for name in names if (owner := self._tree.owner(name)) is not None}
        return owners.union(*(self._sharing.get(name, ()) for name in names))
