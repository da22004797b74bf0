"""The operators of a record that was made with an exporter: the nodes of the plain graph."""

from collections.abc import Collection, Mapping

import onnx

from modelexport.hierarchy.choices import ScopeOrigin
from modelexport.hierarchy.fingerprints import ValueFingerprint
from modelexport.hierarchy.graph_paths import op_type, walk_nodes
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.record import MergedCall, Op
from modelexport.tracer.exporters.exported import ExportedGraph, Scope
from modelexport.tracer.records.node_scopes import NodeScopes


def record_ops(
    exported: ExportedGraph,
    scopes: NodeScopes,
    values: Mapping[tuple[str, str], ValueFingerprint],
    changed_weights: Collection[str],
    tree: ModuleTree,
) -> tuple[Op, ...]:
    """Every node of the plain graph, those of subgraphs included.

    Args:
        exported: The plain graph.
        scopes: The scopes of its nodes.
        values: Fingerprints of values, by graph path and name.
        changed_weights: Initializers of the main graph that the exporter computed itself.
        tree: The modules.
    """
    ops = []
    for key, node in walk_nodes(exported.model):
        exporter_scope, inferred_scope = scopes.exporter.get(key), scopes.inferred.get(key)
        overruling_scope = scopes.overruling.get(key)
        scope = overruling_scope or exporter_scope or inferred_scope
        merged = _merged_with(scope, scopes.merged.get(key, ()))
        origins = _other_origins(node, scope, inferred_scope, changed_weights, tree)
        fingerprints = tuple(values.get((key.graph, name)) for name in node.output)
        ops.append(
            Op(
                graph=key.graph,
                index=key.position,
                name=node.name,
                op_type=op_type(node),
                inputs=tuple(node.input),
                outputs=tuple(node.output),
                module=None if scope is None else tree.canonical(scope.module),
                call=0 if scope is None else scope.call,
                scope_from=_scope_origin(scope, exporter_scope),
                overruled=None
                if overruling_scope is None or exporter_scope is None
                else tree.canonical(exporter_scope.module),
                also=_without(scope, {*origins, *(call.module for call in merged)}),
                merged=merged,
                source=exported.source_lines.get(key),
                values=fingerprints if any(fingerprints) else (),
            )
        )
    return tuple(ops)


def _scope_origin(scope: Scope | None, exporter: Scope | None) -> ScopeOrigin | None:
    if scope is None:
        return None
    return ScopeOrigin.EXPORTER if scope is exporter else ScopeOrigin.VALUES


def _other_origins(
    node: onnx.NodeProto,
    scope: Scope | None,
    inferred: Scope | None,
    changed_weights: Collection[str],
    tree: ModuleTree,
) -> set[str | None]:
    """Other modules whose weights and values show that a node does their work too.

    An exporter that changed a node's weight folded another module into the node. Then the module
    whose values the node computes, and the owner of the weight, are origins too.
    """
    if scope is None:
        return set()
    origins = {tree.owner(name) for name in node.input if name in changed_weights}
    if inferred is not None:
        origins.add(inferred.module)
    return origins


def _merged_with(scope: Scope | None, calls: tuple[MergedCall, ...]) -> tuple[MergedCall, ...]:
    """The calls that a node merges, where its own module is among theirs."""
    return calls if scope is not None and scope.module in {c.module for c in calls} else ()


def _without(scope: Scope | None, modules: Collection[str | None]) -> tuple[str, ...]:
    """Modules beside the one of a scope, sorted."""
    own = None if scope is None else scope.module
    return tuple(sorted(path for path in modules if path is not None and path != own))
