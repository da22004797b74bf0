"""Inferring the scope of nodes from their values: which module computes them in an eager run.

An exporter leaves some nodes without a scope, or changes their weights. Other nodes get a wrong
scope: for modules that are compiled or rewritten, exporters give the module that called them. The
eager run shows the right scope if exactly one module can have computed a node's value.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import nn

from modelexport.hierarchy.fingerprints import ValueFingerprint
from modelexport.hierarchy.graph_paths import MAIN, NodeKey
from modelexport.hierarchy.record import MergedCall
from modelexport.tracer.eager.dispatch import OperatorObserver
from modelexport.tracer.eager.model_run import run_model
from modelexport.tracer.eager.module_tracker import ModuleTracker, track_modules
from modelexport.tracer.exporters.exported import Scope
from modelexport.tracer.records.graph_reads import GraphReads
from modelexport.tracer.records.merged_calls import MergedCallCollector
from modelexport.tracer.records.value_equality import (
    has_fractions,
    is_distinctive,
    kind,
    values_agree,
)
from modelexport.tracer.records.value_sightings import NodeValues, Sighting, SightingCollector
from modelexport.tracer.sources.signature import ModelCall


@dataclass(frozen=True)
class NodeSightings:
    """What an eager run shows about nodes.

    Attributes:
        nodes: What the nodes compute.
        reads: What they read.
        collector: Which calls returned their values.
        tracker: The calls of modules in the run.
        merged: The calls whose work a node does, where these ran in several modules.
    """

    nodes: Mapping[NodeKey, NodeValues]
    reads: GraphReads
    collector: SightingCollector
    tracker: ModuleTracker
    merged: Mapping[NodeKey, tuple[MergedCall, ...]] = field(default_factory=dict)

    def could_overrule(self, key: NodeKey) -> bool:
        """Whether a run may contradict the exporter.

        It may if the run saw the exporter's module, and the node's value can identify a module.
        """
        node = self.nodes[key]
        if node.module not in self.tracker.order or node.passes_on:
            return False
        return bool(self.reads.inputs(key)) and any(
            is_distinctive(value) or has_fractions(value) for value in node.outputs
        )

    def unseen(self, key: NodeKey) -> bool:
        """Whether the search found no call that returned the value of a node."""
        is_seen = key in self.collector.confirmed or key in self.collector.suspects
        return not is_seen and not self.collector.sightings(key)


def observe_nodes(
    model: nn.Module, call: ModelCall, nodes: Mapping[NodeKey, NodeValues], reads: GraphReads
) -> NodeSightings:
    """Run a model, and look for the values of nodes.

    If the exporter seems to be wrong about a node, the model runs a second time. Then every call
    that returned the value of any node is collected.

    Args:
        model: The model.
        call: A call on the inputs on which the fingerprints were computed.
        nodes: What the nodes compute.
        reads: What they read.
    """
    observed = _observe(model, call, nodes, reads, all_sightings=False)
    suspects = observed.collector.suspects - observed.collector.confirmed
    if not any(observed.could_overrule(key) for key in suspects):
        return observed
    return _observe(model, call, nodes, reads, all_sightings=True)


def _observe(
    model: nn.Module,
    call: ModelCall,
    nodes: Mapping[NodeKey, NodeValues],
    reads: GraphReads,
    *,
    all_sightings: bool,
) -> NodeSightings:
    merged = MergedCallCollector(reads, call.tensors)
    collector = SightingCollector(nodes, all_sightings=all_sightings, merged_calls=merged)
    with (
        track_modules(model) as tracker,
        OperatorObserver(tracker, collector.observe, enter_control_flow=True),
    ):
        run_model(model, call)
    return NodeSightings(nodes, reads, collector, tracker, merged.merged)


def inferred_scope(observed: NodeSightings, key: NodeKey) -> Scope | None:
    """The scope of a node whose module is to be found.

    A node gets a scope when exactly one call of one module computed its value. If no call computed
    it, exactly one call must have passed it on, as a view (a split, for example) or a copy. For a
    node in a subgraph there may be several calls of one module, because a loop runs it in each
    iteration.

    Args:
        observed: What the eager run shows.
        key: The node.
    """
    if _goes_on_passing(observed, key):
        return None
    node = observed.nodes[key]
    sightings = [s for s in observed.collector.sightings(key) if _settles(observed, key, s)]
    if key.graph != MAIN:
        depth = key.graph.count("/")
        sightings = [s for s in sightings if s.depth == depth] or sightings
    if node.has_subgraphs:
        sightings = [s for s in sightings if s.enters] or sightings  # scripts are not entered
    elif node.passes_on and key.graph != MAIN:
        sightings = [
            s for s in sightings if reads_alike(observed, key, s) and not s.computes
        ] or sightings
    if (scope := _scope_of_passing_call(observed, key, sightings)) is not None:
        return scope
    sightings = [s for s in sightings if s.computes] or sightings
    scope = _single_scope(key, (s.scope for s in sightings))
    if scope is not None or not sightings:
        return scope
    return _single_scope(key, (s.scope for s in sightings if reads_alike(observed, key, s)))


def _goes_on_passing(observed: NodeSightings, key: NodeKey) -> bool:
    """Whether a node passes on what a node of a known module already passes on.

    Exporters write several nodes for one operator: a gathering becomes a transposition, a reshape
    and a gathering of rows. The call that computed the value comes before all of them. So the nodes
    that use the value tell more about the module.
    """
    if not observed.nodes[key].passes_on or key.graph != MAIN:
        return False
    producers = map(observed.reads.producers.get, observed.reads.inputs(key))
    before = (observed.nodes.get(producer) for producer in producers if producer is not None)
    return any(node is not None and node.passes_on and node.module is not None for node in before)


def _scope_of_passing_call(
    observed: NodeSightings, key: NodeKey, sightings: Iterable[Sighting]
) -> Scope | None:
    """The scope of the only call that extracted the node's value from what the node reads.

    A split returns what was joined before. So another call, which read something else, computed its
    value earlier.
    """
    if observed.nodes[key].passes_on or key.graph != MAIN:
        return None
    reading = [s for s in sightings if reads_alike(observed, key, s)]
    if any(s.computes for s in reading):
        return None
    return _single_scope(key, (s.scope for s in reading))


def overruling_scope(observed: NodeSightings, key: NodeKey) -> Scope | None:
    """The scope of a node whose exporter gave a module that does not compute it.

    No call in that module returned the value, and all calls that computed it ran in one other
    module; one of them read what the node reads. Modules that hooks cannot see, in compiled
    scripts, are never overruled.

    Args:
        observed: What the eager run shows.
        key: The node.
    """
    node = observed.nodes[key]
    if not observed.could_overrule(key) or key in observed.collector.confirmed:
        return None
    sightings = [
        s
        for s in observed.collector.sightings(key)
        if (s.enters if node.has_subgraphs else s.computes)
    ]
    modules = {s.scope.module for s in sightings}
    if len(modules) != 1 or node.module in modules:
        return None
    scopes = [
        s.scope for s in sightings if _settles(observed, key, s) and reads_alike(observed, key, s)
    ]
    return _first_call(scopes) if scopes else None


def possible_modules(observed: NodeSightings, key: NodeKey) -> set[str]:
    """The modules in which a call computed the value of a node from what the node reads."""
    sightings = observed.collector.sightings(key)
    return {s.scope.module for s in sightings if s.computes and reads_alike(observed, key, s)}


def reads_alike(observed: NodeSightings, key: NodeKey, sighting: Sighting) -> bool:
    """Whether a call read the values that a node reads and that depend on the model's inputs.

    Exporters write several nodes for one operator. If no call returned a value that the node reads,
    the values count from which that one was computed.

    Args:
        observed: What the eager run shows.
        key: The node.
        sighting: The call.
    """
    missing = 0
    values = list(dict.fromkeys(observed.reads.inputs(key)))
    has_any = bool(values)
    while values:
        value = values.pop()
        fingerprint = observed.reads.fingerprint(value)
        if fingerprint is None or any(_equal(fingerprint, read) for read in sighting.read):
            continue
        producer = observed.reads.producers.get(value)
        if producer is not None and observed.unseen(producer):
            values += observed.reads.inputs(producer)
        else:
            missing += 1
    return has_any and missing <= sighting.written


def _equal(left: ValueFingerprint, right: ValueFingerprint) -> bool:
    return kind(left) == kind(right) and values_agree(left, right)


def _settles(observed: NodeSightings, key: NodeKey, sighting: Sighting) -> bool:
    """Whether equal values prove that a call is the node, and are no coincidence.

    A value that is too small to prove it alone counts if the call read what the node reads, and if
    that holds numbers that are rarely equal.
    """
    if is_distinctive(sighting.value):
        return True
    if sighting.enters:
        return has_fractions(sighting.value)
    return any(is_distinctive(read) or has_fractions(read) for read in sighting.read) and (
        reads_alike(observed, key, sighting)
    )


def _single_scope(key: NodeKey, scopes: Iterable[Scope]) -> Scope | None:
    """The only scope. For a node in a subgraph: the first call, if all are of one module."""
    different = set(scopes)
    if len(different) == 1 or (key.graph != MAIN and len({s.module for s in different}) == 1):
        return _first_call(different)
    return None


def _first_call(scopes: Iterable[Scope]) -> Scope:
    return min(scopes, key=lambda scope: scope.call)
