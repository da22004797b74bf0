"""Building the record of a model that was exported."""

from torch import nn

from modelexport.hierarchy.graph_digest import graph_digest
from modelexport.hierarchy.graph_paths import MAIN
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.record import Record
from modelexport.support.gc_pause import gc_paused
from modelexport.support.threads import one_blas_thread
from modelexport.tracer.eager.model_run import ModelRun
from modelexport.tracer.exporters.exported import ExportedGraph
from modelexport.tracer.records.exported_ops import record_ops
from modelexport.tracer.records.initializers import (
    InitializerFingerprints,
    record_absent,
    record_tensors,
)
from modelexport.tracer.records.modules import record_modules
from modelexport.tracer.records.node_scopes import node_scopes
from modelexport.tracer.records.parameter_index import ParameterIndex
from modelexport.tracer.records.probe_inputs import ProbedExport
from modelexport.tracer.records.provenance import record_probe, record_source
from modelexport.tracer.sources.origin import Origin


@gc_paused()
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
    scopes = node_scopes(model, run.modules, probed, index, tree, changed)
    exported = exported.with_notes(after=scopes.notes())
    tensors = record_tensors(index, exported, scopes.all(), tree, weights)
    return Record(
        source=record_source(model, origin, exported.exporter, exported.opset, exported.notes),
        digest=graph_digest(exported.model),
        modules=modules,
        ops=record_ops(exported, scopes, values.first, changed, tree),
        tensors=tensors,
        absent=record_absent(index, tensors),
        probe=record_probe(values.feed, values.missing),
        constants=run.constants,
    )


def _changed_weights(index: ParameterIndex, exported: ExportedGraph) -> set[str]:
    """Initializers of the main graph that the exporter computed itself."""
    return {
        name
        for graph, name, values in exported.initializers()
        if graph == MAIN and values is not None and index.is_changed(name, values)
    }
