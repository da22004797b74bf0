"""Puts a whole record together: of a model that was exported, or of one that only ran."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Any

import torch
from torch import nn

from modelexport.hierarchy.choices import RecordExporter
from modelexport.hierarchy.fingerprints import Array, ValueFingerprint, WeightFingerprint
from modelexport.hierarchy.graph_digest import graph_digest
from modelexport.hierarchy.graph_paths import MAIN, NodeKey, subgraphs, walk_nodes
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.record import Constant, Probe, ProbeInput, Record, Source
from modelexport.support.threads import one_blas_thread
from modelexport.tracer.eager.constants import Constants
from modelexport.tracer.eager.dispatch import Heard, Listening, Watch, numpy_of, run, watched
from modelexport.tracer.exporters.exported import Exported, Scope
from modelexport.tracer.records.eager_record import EagerOps, parts_of_operators
from modelexport.tracer.records.ops import record_absent, record_modules, record_ops, record_tensors
from modelexport.tracer.records.parameters import ParameterIndex
from modelexport.tracer.records.probe_inputs import ProbedCall
from modelexport.tracer.records.probing import NOT_ASKED_FOR, Probed
from modelexport.tracer.records.scope_inference import settle
from modelexport.tracer.sources.origin import Origin
from modelexport.tracer.sources.signature import Call

_PACKAGES = ("torch", "transformers", "onnx", "onnxscript", "modelexport")


@dataclass(frozen=True)
class Listened:
    """What a run of the model showed: its modules' calls, and what depends on no input."""

    watch: Watch
    constants: tuple[Constant, ...]


def listen(
    model: nn.Module,
    call: Call,
    *tell: Callable[[Heard], None],
    apart: Mapping[Any, Callable[..., Any]] | None = None,
) -> Listened:
    """Run a model once, and tell of every operator call.

    Raises:
        InputsError: The model cannot run on the inputs.
    """
    constants = Constants(model)
    with watched(model) as watch, Listening(watch, constants.hear, *tell, apart=apart):
        run(model, call)
    return Listened(watch, constants.found())


@one_blas_thread()
def record_eager(
    model: nn.Module, call: Call, origin: Origin | None, *, probe: bool, why: tuple[str, ...]
) -> Record:
    """The record of a model that runs as it is, without an exporter.

    Raises:
        InputsError: The model cannot run on the inputs.
    """
    ops = EagerOps(model, call, fingerprints=probe)
    listened = listen(model, call, ops.hear, apart=parts_of_operators())
    feed = {name: numpy_of(tensor) for name, tensor in call.tensors.items()}
    return Record(
        source=_source(model, origin, RecordExporter.EAGER, 0, why),
        digest="",
        modules=record_modules(model, listened.watch, ()),
        ops=tuple(ops.ops),
        tensors=ops.tensors(),
        absent=ops.absent(),
        constants=listened.constants,
        probe=_probe_of(feed, None if probe else NOT_ASKED_FOR),
    )


@one_blas_thread()
def record_exported(
    model: nn.Module,
    listened: Listened,
    exported: Exported,
    origin: Origin | None,
    probing: ProbedCall,
    weights: Mapping[tuple[str, str], WeightFingerprint | None],
) -> Record:
    """The record of a model that was exported."""
    call, found = probing.call, probing.found
    modules = record_modules(model, listened.watch, exported.scopes.values())
    index = ParameterIndex(model)
    changed = _changed_weights(index, exported)
    settled = settle(model, call, _doubtful(exported, changed, found)) if found.values else {}
    exported.scopes = _recounted(exported.scopes, listened.watch, ModuleTree(modules))
    scopes: dict[NodeKey, Scope] = {**settled, **exported.scopes}
    tensors = record_tensors(index, exported, scopes, ModuleTree(modules), weights)
    return Record(
        source=_source(model, origin, exported.exporter, exported.opset, exported.notes),
        digest=graph_digest(exported.graph),
        modules=modules,
        ops=record_ops(exported, settled, found.values, changed, ModuleTree(modules)),
        tensors=tensors,
        absent=record_absent(index, tensors),
        probe=_probe_of(found.feed, found.missing),
        constants=listened.constants,
    )


def _recounted(
    scopes: Mapping[NodeKey, Scope], watch: Watch, tree: ModuleTree
) -> dict[NodeKey, Scope]:
    """The scopes of an exporter, which counts calls as if there were none in subgraphs."""
    outside = {
        module: [call for call in range(watch.calls[module]) if call not in inside]
        for module, inside in watch.inside.items()
    }
    found = dict(scopes)
    for key, scope in scopes.items():
        calls = outside.get(tree.canonical(scope.module), ())
        if scope.call < len(calls):
            found[key] = replace(scope, call=calls[scope.call])
    return found


def _source(
    model: nn.Module, origin: Origin | None, exporter: str, opset: int, why: tuple[str, ...]
) -> Source:
    return Source(
        name=origin.name if origin else type(model).__name__,
        exporter=exporter,
        opset=opset,
        why=why,
        task=origin.task if origin else None,
        versions=_versions(),
    )


def _probe_of(feed: Mapping[str, Array], missing: str | None) -> Probe:
    return Probe(tuple(ProbeInput.from_array(n, a) for n, a in feed.items()), missing)


def _doubtful(
    exported: Exported, changed: Collection[str], found: Probed
) -> dict[NodeKey, list[ValueFingerprint]]:
    """Nodes to ask the eager run about: those without a scope, and those with new weights.

    Not those in subgraphs that have subgraphs themselves: these compute what they give back.
    """
    doubtful = {}
    for key, node in walk_nodes(exported.graph):
        if key.graph == MAIN:
            if key not in exported.scopes or any(name in changed for name in node.input):
                made = (found.values.get((MAIN, name)) for name in node.output)
                doubtful[key] = [known for known in made if known is not None]
        elif key not in exported.scopes and not any(True for _ in subgraphs(node)):
            doubtful[key] = found.inside.get(key, [])
    return doubtful


def _changed_weights(index: ParameterIndex, exported: Exported) -> set[str]:
    """Weights of the main graph that the exporter computed itself."""
    return {
        name
        for graph, name, values in exported.initializers()
        if graph == MAIN and index.changed(name, values)
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found | {"torch": str(torch.__version__)}
