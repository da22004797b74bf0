"""Tracing as an export configuration says."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from modelexport.hierarchy.choices import Exporter, RecordExporter
from modelexport.hierarchy.export_config import ExportConfig, InputSpec
from modelexport.hierarchy.trace_summary import PlannedExporter, PlannedInput, TracePlan, files_of
from modelexport.tracer.exporters.selection import planned_exporters, resolve_exporter
from modelexport.tracer.sources.loading import Loaded, load
from modelexport.tracer.sources.signature import Call, Dynamic, plan_call
from modelexport.tracer.tracing import DEFAULT_OPSET


class TraceOptions(TypedDict):
    """What an export configuration says to `trace` and `record`."""

    exporter: str
    opset: int
    dynamic: Dynamic
    output_names: Sequence[str]


def load_configured(
    source: str,
    config: ExportConfig,
    asked: Mapping[str, InputSpec] | None = None,
    *,
    trust_remote_code: bool = False,
) -> Loaded:
    """Load a model and make its inputs.

    Args:
        source: As for `load`.
        config: What to load of it, and what to run it on.
        asked: What the command line says of some inputs, which wins.
        trust_remote_code: As for `load`.

    Raises:
        SourceError: The source cannot be found, imported or built.
        InputsError: No inputs can be made.
    """
    return load(
        source,
        task=config.task,
        request=config.request(asked),
        attention=config.attention,
        trust_remote_code=trust_remote_code,
    )


def options_of(config: ExportConfig) -> TraceOptions:
    """How `trace` and `record` are to run."""
    return TraceOptions(
        exporter=config.exporter or Exporter.AUTO,
        opset=config.opset or DEFAULT_OPSET,
        dynamic=config.axes,
        output_names=config.output_names,
    )


def planned(loaded: Loaded, config: ExportConfig, *files: Path | None) -> TracePlan:
    """What tracing would do, without doing it.

    Args:
        loaded: The model.
        config: How it would be traced.
        files: What would be written.

    Raises:
        InputsError: The inputs do not fit the model's signature.
        UsageError: No such exporter.
    """
    options = options_of(config)
    model, kind = loaded.model, type(loaded.model)
    call = plan_call(model, loaded.inputs, dynamic=options["dynamic"])
    return TracePlan(
        source=loaded.origin.name,
        class_name=f"{kind.__module__}.{kind.__qualname__}",
        modules=sum(1 for _ in model.named_modules(remove_duplicate=False)),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        inputs=tuple(_inputs(call)),
        exporters=tuple(_exporters(options["exporter"], options["opset"])),
        output_names=tuple(options["output_names"]),
        files=tuple(files_of(*files)),
    )


def _inputs(call: Call) -> list[PlannedInput]:
    found = []
    for name, tensor in call.tensors.items():
        axes = call.axes.get(name, {})
        shape = [axes[k] or "?" if k in axes else extent for k, extent in enumerate(tensor.shape)]
        found.append(PlannedInput(name, str(tensor.dtype).removeprefix("torch."), tuple(shape)))
    return found


def _exporters(exporter: str, opset: int) -> list[PlannedExporter]:
    if exporter == RecordExporter.EAGER:
        return []
    planned = planned_exporters(resolve_exporter(exporter), opset)
    return [PlannedExporter(name, written) for name, written in planned]
