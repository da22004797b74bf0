"""Loading and tracing as `TraceOptions` say."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from modelexport.hierarchy.choices import Exporter, RecordExporter
from modelexport.hierarchy.export_config import InputSpec, TraceOptions
from modelexport.hierarchy.trace_summary import PlannedExporter, PlannedInput, TracePlan
from modelexport.tracer.exporters.selection import planned_exporters, resolve_exporter
from modelexport.tracer.recording import RecordResult, record
from modelexport.tracer.sources.loading import Loaded, load
from modelexport.tracer.sources.signature import Axes, DynamicAxes, ModelCall, bind_inputs
from modelexport.tracer.sources.translations import Translations, load_translations
from modelexport.tracer.tracing import DEFAULT_OPSET, TraceResult, trace


class TraceArguments(TypedDict):
    """Keyword arguments of `trace` and `record`."""

    exporter: str
    opset: int
    dynamic: DynamicAxes
    output_names: Sequence[str]
    probe: bool
    stamp: bool
    custom_translation: Translations


def trace_arguments(options: TraceOptions, axes: Axes | None = None) -> TraceArguments:
    """The options as keyword arguments of `trace` and `record`, with defaults filled in.

    This loads the table of translations. The source that defines its operators must be loaded
    before.

    Args:
        options: The options.
        axes: The dynamic axes that the inputs need. They are used if the options name no dynamic
            axes.

    Raises:
        SourceError: The table cannot be loaded.
    """
    chosen = options.dynamic is not None or options.dynamic_axes
    return TraceArguments(
        exporter=options.exporter or Exporter.AUTO,
        opset=options.opset or DEFAULT_OPSET,
        dynamic=options.axes if chosen else axes or False,
        output_names=options.output_names,
        probe=options.probe,
        stamp=options.stamp,
        custom_translation=load_translations(options.custom_translation),
    )


def load_from_config(
    source: str, options: TraceOptions, inputs: Mapping[str, InputSpec] | None = None
) -> Loaded:
    """Load a model and make its inputs.

    Args:
        source: As for `load`.
        options: What to load, and which inputs to make.
        inputs: Shapes and dtypes of some inputs, which win over the options.

    Raises:
        SourceError: The source cannot be found, imported or built.
        InputsError: No inputs can be made.
    """
    return load(
        source,
        task=options.plain_task,
        request=options.input_request(inputs),
        attention=options.attention,
        trust_remote_code=options.trust_remote_code,
        weights=options.weights,
        with_past=options.has_past,
        base_model=options.base_model,
    )


def trace_loaded(
    loaded: Loaded,
    onnx_path: Path,
    options: TraceOptions,
    *,
    record_path: Path | None = None,
    force: bool = False,
) -> TraceResult:
    """Trace a model that was loaded, as `trace` does.

    Args:
        loaded: The model.
        onnx_path: Where the plain file goes.
        options: How it is traced.
        record_path: Where the record goes; beside the plain file by default.
        force: Overwrite existing files.

    Raises:
        ModelExportError: As `trace` does.
    """
    return trace(
        loaded.model,
        loaded.inputs,
        onnx_path,
        record=record_path,
        **trace_arguments(options, loaded.axes),
        force=force,
        origin=loaded.origin,
    )


def record_loaded(
    loaded: Loaded, record_path: Path, options: TraceOptions, *, force: bool = False
) -> RecordResult:
    """Record a model that was loaded, as `record` does.

    Args:
        loaded: The model.
        record_path: Where the record goes.
        options: How it is recorded.
        force: Overwrite an existing file.

    Raises:
        ModelExportError: As `record` does.
    """
    return record(
        loaded.model,
        loaded.inputs,
        record_path,
        **trace_arguments(options, loaded.axes),
        force=force,
        origin=loaded.origin,
    )


def plan_trace(loaded: Loaded, options: TraceOptions, files: Sequence[Path]) -> TracePlan:
    """Describe what tracing would do, without doing it.

    Args:
        loaded: The model.
        options: How it would be traced.
        files: The files that would be written.

    Raises:
        InputsError: The inputs do not fit the model's signature.
        UsageError: The exporter is unknown.
    """
    arguments = trace_arguments(options, loaded.axes)
    model, class_ = loaded.model, type(loaded.model)
    call = bind_inputs(model, loaded.inputs, dynamic=arguments["dynamic"])
    return TracePlan(
        source=loaded.origin.name,
        class_name=f"{class_.__module__}.{class_.__qualname__}",
        modules=sum(1 for _ in model.named_modules(remove_duplicate=False)),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        inputs=tuple(_inputs(call)),
        exporters=tuple(_exporters(arguments["exporter"], arguments["opset"])),
        output_names=tuple(options.output_names),
        files=tuple(map(str, files)),
    )


def _inputs(call: ModelCall) -> Iterator[PlannedInput]:
    """The inputs of the file that would be written."""
    for name, tensor in call.tensors.items():
        axes = call.axes.get(name, {})
        shape = [axes[k] or "?" if k in axes else extent for k, extent in enumerate(tensor.shape)]
        yield PlannedInput(name, str(tensor.dtype).removeprefix("torch."), tuple(shape))


def _exporters(exporter: str, opset: int) -> list[PlannedExporter]:
    """The exporters that would be tried, each with the opset of its file."""
    if exporter == RecordExporter.EAGER:
        return []
    planned = planned_exporters(resolve_exporter(exporter), opset)
    return [
        PlannedExporter(name, min(opset, lowest), lowest if lowest > opset else None)
        for name, lowest in planned
    ]
