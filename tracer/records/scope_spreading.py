"""Nodes whose values prove no scope get it from the nodes around them, if these agree."""

from collections.abc import Collection, Mapping

from modelexport.hierarchy.graph_paths import MAIN, NodeKey
from modelexport.tracer.exporters.exported import Scope
from modelexport.tracer.records.scope_inference import NodeSightings


def spread_overruling(
    observed: NodeSightings, overruling: Mapping[NodeKey, Scope]
) -> dict[NodeKey, Scope]:
    """Overrule the exporter for nodes without proof that are next to nodes with a proven scope.

    An exporter that gave the caller's module for one node of a module gave it for all of them:

    - a node whose value no call returned is a part of what its readers do. It gets their scope if
      the exporter is overruled for all of them with the same scope;
    - a node that passes a value on gets the scope of the only call that did the same.

    Args:
        observed: What the eager run shows.
        overruling: The scopes that values prove.

    Returns:
        These scopes, and those of the other nodes.
    """
    result = dict(overruling)
    wrong = {(observed.nodes[key].module, scope.module) for key, scope in overruling.items()}
    undecided = [
        key
        for key, node in observed.nodes.items()
        if node.module in {module for module, _ in wrong}
        and key not in result
        and key not in observed.collector.confirmed
    ]
    for key in reversed(undecided):
        scope = _passing_scope(observed, key) or _scope_of_users(observed, key, result)
        if scope is not None and (observed.nodes[key].module, scope.module) in wrong:
            result[key] = scope
    return result


def _passing_scope(observed: NodeSightings, key: NodeKey) -> Scope | None:
    """The scope of the one call that passed on the value of a node, in its shape."""
    if not observed.nodes[key].passes_on:
        return None
    sightings = observed.collector.sightings(key)
    scopes = {s.scope for s in sightings if s.has_shape and not s.computes}
    return next(iter(scopes)) if len(scopes) == 1 else None


def _scope_of_users(
    observed: NodeSightings, key: NodeKey, overruling: Mapping[NodeKey, Scope]
) -> Scope | None:
    """The scope of all readers of a node whose value no call returned."""
    if not observed.unseen(key):
        return None
    users = observed.reads.users(key)
    scopes = {overruling.get(user) for user in users or ()}
    modules = {observed.nodes[user].module for user in users or ()}
    return scopes.pop() if len(scopes) == 1 and modules == {observed.nodes[key].module} else None


def scopes_between(
    observed: NodeSightings,
    open_nodes: Collection[NodeKey],
    scopes: Mapping[NodeKey, Scope],
) -> dict[NodeKey, Scope]:
    """The scopes of nodes in subgraphs that stand between nodes of one module.

    Only for nodes that pass a value on, and for those whose value no call returned.

    Args:
        observed: What the eager run shows.
        open_nodes: The nodes without a scope.
        scopes: The scopes of the others.
    """
    result: dict[NodeKey, Scope] = {}
    for key in open_nodes:
        if key.graph == MAIN or (
            observed.collector.sightings(key) and not observed.nodes[key].passes_on
        ):
            continue
        every_scope = {**scopes, **result}
        before = {
            every_scope.get(source)
            for source in observed.reads.sources(key)
            if source.graph == key.graph
        }
        after = {every_scope.get(user) for user in observed.reads.users(key) or ()}
        if before == after and len(before) == 1 and (scope := before.pop()) is not None:
            result[key] = scope
    return result
