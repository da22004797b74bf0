"""The tensors of a record that was made with an exporter: initializers and their parameters."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from modelexport.hierarchy.fingerprints import WeightFingerprint, weight_fingerprint
from modelexport.hierarchy.graph_paths import NodeKey, walk_nodes
from modelexport.hierarchy.module_tree import ModuleTree, is_within
from modelexport.hierarchy.record import Tensor
from modelexport.tracer.exporters.exported import ExportedGraph, Scope
from modelexport.tracer.records.parameter_index import ParameterIndex

InitializerFingerprints = Mapping[tuple[str, str], WeightFingerprint | None]
"""Fingerprints of initializers by graph path and name."""


def initializer_fingerprints(exported: ExportedGraph) -> InitializerFingerprints:
    """The fingerprint of every initializer."""
    return {
        (graph, name): None if values is None else weight_fingerprint(values)
        for graph, name, values in exported.initializers()
    }


def record_tensors(
    index: ParameterIndex,
    exported: ExportedGraph,
    scopes: Mapping[NodeKey, Scope],
    tree: ModuleTree,
    fingerprints: InitializerFingerprints,
) -> tuple[Tensor, ...]:
    """Every initializer with the parameter that it holds.

    Several parameters may have equal values. Then an initializer is taken for the parameter of the
    module that uses it.

    Args:
        index: The parameters of the model.
        exported: The plain graph.
        scopes: The scopes of its nodes.
        tree: The modules.
        fingerprints: The fingerprints of the initializers.
    """
    users = _modules_by_input(exported, scopes)
    tensors = []
    for graph, name, values in exported.initializers():
        candidates = index.candidates(name, values)
        modules = users.get((graph, name), ())
        owned = [c for c in candidates if any(_owns(tree, module, c) for module in modules)]
        parameter = next(iter(owned or candidates), None)
        tensors.append(Tensor(name, parameter, fingerprints[graph, name], graph))
    return tuple(tensors)


def record_absent(index: ParameterIndex, tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Parameters and buffers that no initializer holds."""
    present = [tensor.parameter for tensor in tensors]
    return tuple(
        Tensor(name, name, weight_fingerprint(values)) for name, values in index.absent(present)
    )


def _modules_by_input(
    exported: ExportedGraph, scopes: Mapping[NodeKey, Scope]
) -> dict[tuple[str, str], list[str]]:
    """The modules whose nodes read a value, by graph path and name of the value."""
    modules: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key, node in walk_nodes(exported.model):
        if (scope := scopes.get(key)) is not None:
            for name in node.input:
                modules[key.graph, name].append(scope.module)
    return modules


def _owns(tree: ModuleTree, module: str, parameter: str) -> bool:
    """Whether a parameter belongs to a module or to one inside it."""
    owner = tree.owner(parameter)
    return owner is not None and is_within(owner, tree.canonical(module))
