"""The scope of each node: from the exporter, corrected and completed by an eager run."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from torch import nn

from modelexport.hierarchy.graph_paths import MAIN, NodeKey, has_subgraphs
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.record import MergedCall
from modelexport.tracer.eager.module_tracker import ModuleTracker
from modelexport.tracer.exporters.exported import ExportedGraph, Scope
from modelexport.tracer.records.graph_reads import GraphReads
from modelexport.tracer.records.graph_values import GraphValues
from modelexport.tracer.records.parameter_index import ParameterIndex
from modelexport.tracer.records.parameter_scopes import ParameterOwners, parameter_scopes
from modelexport.tracer.records.probe_inputs import ProbedExport
from modelexport.tracer.records.scope_inference import (
    NodeSightings,
    inferred_scope,
    observe_nodes,
    overruling_scope,
)
from modelexport.tracer.records.scope_spreading import scopes_between, spread_overruling
from modelexport.tracer.records.value_sightings import NodeValues, SightingCollector

_MAX_NAMED = 3
"""Maximum number of modules that a note names."""


@dataclass(frozen=True)
class NodeScopes:
    """The scopes of nodes by where they come from.

    Attributes:
        exporter: Scopes that the exporter gave, with the numbers of all calls.
        inferred: Scopes that an eager run shows, for nodes to which the exporter gave none and for
            nodes with a weight that the exporter changed.
        overruling: Scopes that an eager run shows and that contradict the exporter.
        merged: The calls whose work a node does, where these ran in several modules.
    """

    exporter: Mapping[NodeKey, Scope]
    inferred: Mapping[NodeKey, Scope] = field(default_factory=dict)
    overruling: Mapping[NodeKey, Scope] = field(default_factory=dict)
    merged: Mapping[NodeKey, tuple[MergedCall, ...]] = field(default_factory=dict)

    def all(self) -> dict[NodeKey, Scope]:
        """The scope of each node that has one."""
        return {**self.inferred, **self.exporter, **self.overruling}

    def notes(self) -> tuple[str, ...]:
        """What the user should know about them."""
        if not self.overruling:
            return ()
        paths = dict.fromkeys(scope.module or "the root" for scope in self.overruling.values())
        modules = ", ".join([*paths][:_MAX_NAMED]) + (", …" if len(paths) > _MAX_NAMED else "")
        count = len(self.overruling)
        note = (
            f"the exporter's module is wrong for {count} node{'s'[: count > 1]}: an eager run "
            f"computed the values in {modules}"
        )
        return (note,)


def node_scopes(
    model: nn.Module,
    tracker: ModuleTracker,
    probed: ProbedExport,
    index: ParameterIndex,
    tree: ModuleTree,
    changed_weights: Collection[str],
) -> NodeScopes:
    """Find the scope of each node of an exported graph.

    Args:
        model: The model.
        tracker: The calls of its modules on the example inputs.
        probed: The graph, and what it computes.
        index: The parameters of the model.
        tree: Its modules.
        changed_weights: Initializers of the main graph that the exporter computed itself.
    """
    exported, values = probed.exported, probed.values
    counted = _count_calls(exported.scopes, tracker, tree)
    reads = GraphReads(exported.model, values)
    if values.first:
        nodes = _node_values(exported, changed_weights, values, reads, tree)
        observed = observe_nodes(model, probed.call, nodes, reads)
    else:
        observed = NodeSightings({}, reads, SightingCollector({}), tracker)
    inferred = _complete(observed, exported, ParameterOwners(index, tree))
    settled = {
        k: scope for k in observed.nodes if (scope := overruling_scope(observed, k)) is not None
    }
    return NodeScopes(counted, inferred, spread_overruling(observed, settled), observed.merged)


def _complete(
    observed: NodeSightings, exported: ExportedGraph, owners: ParameterOwners
) -> dict[NodeKey, Scope]:
    """The scopes of nodes whose module is to be found."""
    inferred = {
        key: scope
        for key, node in observed.nodes.items()
        if node.is_open and (scope := inferred_scope(observed, key)) is not None
    }
    open_nodes = [k for k in observed.reads.nodes if k not in exported.scopes and k not in inferred]
    inferred |= parameter_scopes(observed, exported, owners, open_nodes)
    open_nodes = [k for k in open_nodes if k in observed.nodes and k not in inferred]
    return inferred | scopes_between(observed, open_nodes, {**exported.scopes, **inferred})


def _node_values(
    exported: ExportedGraph,
    changed_weights: Collection[str],
    values: GraphValues,
    reads: GraphReads,
    tree: ModuleTree,
) -> dict[NodeKey, NodeValues]:
    """What nodes compute.

    Nodes of subgraphs that have a scope are left out: there, no exporter gives the caller's scope
        by mistake.
    """
    nodes = {}
    for key, node in reads.nodes.items():
        scope = exported.scopes.get(key)
        if scope is not None and key.graph != MAIN:
            continue
        is_changed = key.graph == MAIN and any(name in changed_weights for name in node.input)
        outputs = [] if key.graph == MAIN else values.in_subgraphs.get(key, [])
        nodes[key] = NodeValues(
            outputs=tuple(outputs or filter(None, map(reads.fingerprint, reads.outputs(key)))),
            passes_on=reads.passes_on(key),
            has_subgraphs=has_subgraphs(node),
            module=None if scope is None else tree.canonical(scope.module),
            is_open=scope is None or is_changed,
        )
    return nodes


def _count_calls(
    scopes: Mapping[NodeKey, Scope], tracker: ModuleTracker, tree: ModuleTree
) -> dict[NodeKey, Scope]:
    """The scopes of an exporter with the numbers of all calls.

    Exporters do not count the calls that higher-order operators make.
    """
    outside = {
        module: [call for call in range(tracker.calls[module]) if call not in inside]
        for module, inside in tracker.calls_in_operators.items()
    }
    counted = dict(scopes)
    for key, scope in scopes.items():
        calls = outside.get(tree.canonical(scope.module), ())
        if scope.call < len(calls):
            counted[key] = replace(scope, call=calls[scope.call])
    return counted
