"""`trace`: a torch model becomes a plain ONNX file and a record of where each node came from."""

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import msgspec
import torch
from torch import nn

from hierarchy.errors import ExportFailedError, RuntimeFailedError, UsageError
from hierarchy.files import check_target, replacing, writing
from hierarchy.fingerprint import Array, ValueFingerprint, WeightFingerprint
from hierarchy.graphs import MAIN, NodeKey, digest, walk_nodes
from hierarchy.module_tree import ModuleTree
from hierarchy.record import Probe, ProbeInput, Record, Source, encode_record, record_path
from tracer.calling import Call, Inputs, plan_call
from tracer.constants import Constants
from tracer.exporters import dynamo, torchscript
from tracer.exporters.exported import Exported, Scope
from tracer.parameters import ParameterIndex
from tracer.probing import feed_of, probe_values
from tracer.recorder import (
    record_absent,
    record_modules,
    record_ops,
    record_tensors,
    weight_fingerprints,
)
from tracer.settling import settle
from tracer.state import evaluating
from tracer.transformers_models import ready_for_export
from tracer.watching import Watch, run, watched
from tracer.writing import data_beside, write_exported

AUTO = "auto"
EXPORTERS = {dynamo.NAME: dynamo.export, torchscript.NAME: torchscript.export}
"""In the order in which `auto` tries them."""

DEFAULT_OPSET = 17

_PACKAGES = ("torch", "transformers", "onnx", "onnxscript", "modelexport")


@dataclass(frozen=True)
class Origin:
    """Where a model came from, for its record.

    Attributes:
        name: Hub id, base name of a folder, or `module:factory`; never a path.
        task: The task whose architecture was loaded, when one was asked for.
    """

    name: str
    task: str | None = None


@dataclass(frozen=True)
class TraceResult:
    """What `trace` made.

    Attributes:
        onnx_path: The plain ONNX file.
        record_path: The record.
        record: Its content.
        notes: Which exporter and opset were taken and why, when `trace` chose.
    """

    onnx_path: Path
    record_path: Path
    record: Record
    notes: tuple[str, ...]


def trace(
    model: nn.Module,
    example_inputs: Inputs,
    onnx_path: str | Path,
    *,
    record: str | Path | None = None,
    exporter: str = AUTO,
    opset: int = DEFAULT_OPSET,
    dynamic: bool = False,
    probe: bool = True,
    force: bool = False,
    origin: Origin | None = None,
) -> TraceResult:
    """Export a model to plain ONNX and record the module scope of every node.

    The model is left as it was found.

    Args:
        model: Any module.
        example_inputs: A tensor, positional inputs as a tuple or list, or keyword inputs as
            a dictionary. They are the probe inputs of the record, too.
        onnx_path: Where the ONNX file goes. Weights of more than 2 GiB go to a file of their own
            beside it, `NAME.onnx.data`.
        record: Where the record goes; beside the ONNX file by default.
        exporter: `auto` (the first that works), `dynamo` or `torchscript`.
        opset: Of the default domain. An exporter that cannot take it says so and takes its own.
        dynamic: Make every axis of every input dynamic.
        probe: Run the file in onnxruntime and keep a fingerprint of every value.
        force: Overwrite existing files.
        origin: What the record says about where the model came from.

    Raises:
        InputsError: The model cannot run on the inputs.
        ExportFailedError: No exporter could write the model.
        FileProblem: A file cannot be written, or exists.
        UsageError: No such exporter.
    """
    target = Path(onnx_path)
    record_target = Path(record) if record is not None else record_path(target)
    if exporter != AUTO and exporter not in EXPORTERS:
        raise UsageError(
            f"No exporter is called {exporter}: choose {', '.join(EXPORTERS)} or auto."
        )
    with (
        replacing(target, force=force) as onnx_file,
        replacing(record_target, force=force) as record_file,
        ExitStack() as beside,
    ):
        with evaluating(model), ready_for_export(model):
            call = plan_call(model, example_inputs)
            with watched(model) as watch, Constants(model, watch) as constants:
                run(model, call)
            exported = _export(model, call, exporter, opset, dynamic=dynamic)
            data = None
            if (large := data_beside(exported, target)) is not None:
                data = beside.enter_context(replacing(large, force=force)), large.name
            with ThreadPoolExecutor(1) as aside:
                written = aside.submit(write_exported, exported, onnx_file, data)
                weights = aside.submit(weight_fingerprints, exported)
                found = _probe(exported, call, probe=probe)
                written.result()
            made = _record(model, call, watch, exported, origin, found, weights.result())
            made = msgspec.structs.replace(made, constants=constants.found())
        with writing(record_file):
            record_file.write_bytes(encode_record(made))
    return TraceResult(target, record_target, made, made.source.why)


def check_targets(onnx_path: Path, record: Path | None, *, force: bool) -> None:
    """Refuse what `trace` could not write, before a model is loaded for it.

    Raises:
        FileProblem: A file exists, or cannot be written.
    """
    for target in (onnx_path, record or record_path(onnx_path)):
        check_target(target, force=force)


def _export(model: nn.Module, call: Call, exporter: str, opset: int, *, dynamic: bool) -> Exported:
    """Export with one exporter, or the first that works."""
    if exporter != AUTO:
        try:
            return EXPORTERS[exporter](model, call, opset=opset, dynamic=dynamic)
        except ExportFailedError as error:
            raise ExportFailedError(
                f"The {exporter} exporter cannot write {type(model).__name__} ({error})."
            ) from error
    failures: list[str] = []
    for name, export in EXPORTERS.items():
        try:
            exported = export(model, call, opset=opset, dynamic=dynamic)
        except ExportFailedError as error:
            failures.append(f"{name}: {error}")
        else:
            why = f"{name} exporter: " + (
                "the first that works" if failures else "the first choice"
            )
            skipped = tuple(f"not {failure}" for failure in failures)
            exported.notes = (why, *skipped, *exported.notes)
            return exported
    raise ExportFailedError(
        f"No exporter can write {type(model).__name__} ({'; '.join(failures)})."
    )


Probed = tuple[dict[str, Array], Mapping[str, ValueFingerprint], str | None]
"""Probe inputs, fingerprints of values, and why there are none when there are none."""


def _record(
    model: nn.Module,
    call: Call,
    watch: Watch,
    exported: Exported,
    origin: Origin | None,
    probed: Probed,
    weights: Mapping[tuple[str, str], WeightFingerprint | None],
) -> Record:
    modules = record_modules(model, watch, exported.scopes.values())
    feed, values, missing = probed
    index = ParameterIndex(model)
    changed = _changed_weights(index, exported)
    settled = settle(model, call, _doubtful(exported, changed, values)) if values else {}
    scopes: dict[NodeKey, Scope] = {**settled, **exported.scopes}
    tensors = record_tensors(index, exported, scopes, ModuleTree(modules), weights)
    return Record(
        source=Source(
            name=origin.name if origin else type(model).__name__,
            exporter=exported.exporter,
            opset=exported.opset,
            why=exported.notes,
            task=origin.task if origin else None,
            versions=_versions(),
        ),
        digest=digest(exported.graph),
        modules=modules,
        ops=record_ops(exported, settled, values, changed, ModuleTree(modules)),
        tensors=tensors,
        absent=record_absent(index, tensors),
        probe=Probe(tuple(ProbeInput.of(n, a) for n, a in feed.items()), missing),
    )


def _probe(exported: Exported, call: Call, *, probe: bool) -> Probed:
    feed = feed_of(exported.graph.graph, call.tensors)
    if not probe:
        return feed, {}, "not asked for"
    try:
        return feed, probe_values(exported, feed), None
    except RuntimeFailedError as error:
        return feed, {}, str(error)


def _doubtful(
    exported: Exported, changed: Collection[str], values: Mapping[str, ValueFingerprint]
) -> dict[NodeKey, list[ValueFingerprint]]:
    """Nodes to ask the eager run about: those without a scope, and those with new weights."""
    return {
        key: [values[name] for name in node.output if name in values]
        for key, node in walk_nodes(exported.graph)
        if key.graph == MAIN
        and (key not in exported.scopes or any(name in changed for name in node.input))
    }


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
