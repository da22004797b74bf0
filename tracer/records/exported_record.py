"""Building the record of a model that was exported."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from torch import nn

from modelexport.hierarchy.fingerprints import ValueFingerprint
from modelexport.hierarchy.graph_digest import graph_digest
from modelexport.hierarchy.graph_paths import MAIN, NodeKey, subgraphs, walk_nodes
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.record import Record
from modelexport.support.threads import one_blas_thread
from modelexport.tracer.eager.model_run import ModelRun
from modelexport.tracer.eager.module_tracker import ModuleTracker
from modelexport.tracer.exporters.exported import ExportedGraph, Scope
from modelexport.tracer.records.exported_ops import record_ops
from modelexport.tracer.records.graph_values import GraphValues
from modelexport.tracer.records.initializers import (
    InitializerFingerprints,
    record_absent,
    record_tensors,
)
from modelexport.tracer.records.modules import record_modules
from modelexport.tracer.records.parameter_index import ParameterIndex
from modelexport.tracer.records.probe_inputs import ProbedExport
from modelexport.tracer.records.provenance import record_probe, record_source
from modelexport.tracer.records.scope_inference import infer_scopes
from modelexport.tracer.sources.origin import Origin


@one_blas_thread()
def build_exported_record(
    model: nn.Module,
    run: ModelRun,
    probed: ProbedExport,
    weights: InitializerFingerprints,
    origin: Origin | None,
) -> Record:
    """Build the record of a model that was exported.

    Args:
        model: The model.
        run: A run of the model on the example inputs.
        probed: The exported graph, and what it computes on the probe inputs.
        weights: Fingerprints of its initializers.
        origin: Where the model came from.
    """
    exported, values = probed.exported, probed.values
    modules = record_modules(model, run.modules, exported.scopes.values())
    tree = ModuleTree(modules)
    index = ParameterIndex(model)
    changed = _changed_weights(index, exported)
    uncertain = _uncertain_nodes(exported, changed, values)
    inferred = infer_scopes(model, probed.call, uncertain) if values.first else {}
    exported = replace(exported, scopes=_count_calls(exported.scopes, run.modules, tree))
    tensors = record_tensors(index, exported, {**inferred, **exported.scopes}, tree, weights)
    return Record(
        source=record_source(model, origin, exported.exporter, exported.opset, exported.notes),
        digest=graph_digest(exported.model),
        modules=modules,
        ops=record_ops(exported, inferred, values.first, changed, tree),
        tensors=tensors,
        absent=record_absent(index, tensors),
        probe=record_probe(values.feed, values.missing),
        constants=run.constants,
    )


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


def _uncertain_nodes(
    exported: ExportedGraph, changed_weights: Collection[str], values: GraphValues
) -> dict[NodeKey, list[ValueFingerprint]]:
    """The nodes whose module has to be inferred, with the fingerprints of what they compute.

    These are the nodes without a scope, and those with a weight that the exporter changed. Nodes
    in subgraphs that have subgraphs themselves are left out: they compute what they return.
    """
    uncertain = {}
    for key, node in walk_nodes(exported.model):
        has_scope = key in exported.scopes
        if key.graph == MAIN:
            if not has_scope or any(name in changed_weights for name in node.input):
                outputs = (values.first.get((MAIN, name)) for name in node.output)
                uncertain[key] = [output for output in outputs if output is not None]
        elif not has_scope and not any(True for _ in subgraphs(node)):
            uncertain[key] = values.in_subgraphs.get(key, [])
    return uncertain


def _changed_weights(index: ParameterIndex, exported: ExportedGraph) -> set[str]:
    """Initializers of the main graph that the exporter computed itself."""
    return {
        name
        for graph, name, values in exported.initializers()
        if graph == MAIN and index.is_changed(name, values)
    }
