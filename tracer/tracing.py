"""`trace`: a torch model becomes a plain ONNX file and a record of where each node came from."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from modelexport.errors import ExportFailedError, UsageError
from modelexport.hierarchy.choices import Exporter, RecordExporter
from modelexport.hierarchy.record import Record, encode_record, record_path
from modelexport.support.files import atomic_replacement, attribute_errors_to
from modelexport.support.progress import report_step
from modelexport.support.threads import one_blas_thread
from modelexport.tracer.eager.model_state import evaluating
from modelexport.tracer.exporters.selection import export_model, resolve_exporter
from modelexport.tracer.exporters.writing import data_beside, write_exported
from modelexport.tracer.records.building import listen, record_eager, record_exported
from modelexport.tracer.records.ops import weight_fingerprints
from modelexport.tracer.records.probe_inputs import probed
from modelexport.tracer.sources.origin import Origin
from modelexport.tracer.sources.signature import Call, Dynamic, Inputs, plan_call
from modelexport.tracer.sources.transformers_models import ready_for_export

DEFAULT_OPSET = 17


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


def trace(  # noqa: PLR0913 - keyword-only options of an entry point
    model: nn.Module,
    example_inputs: Inputs,
    onnx_path: str | Path,
    *,
    record: str | Path | None = None,
    exporter: str = Exporter.AUTO,
    opset: int = DEFAULT_OPSET,
    dynamic: Dynamic = False,
    output_names: Sequence[str] = (),
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
        exporter: `auto` (the first that works), `dynamo` or `torchscript`, which is also `htp`.
        opset: Of the default domain. An exporter that cannot take it says so and takes its own.
        dynamic: Make every axis of every input dynamic; or the names of dynamic axes, by input
            and position (`{"ids": {0: "batch"}}`), which must then come out dynamic.
        output_names: What the outputs are to be called, in order; as the model names them by
            default.
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
    if exporter == RecordExporter.EAGER:
        raise UsageError("An eager record has no file beside it: use --record-only.")
    chosen = resolve_exporter(exporter)
    with (
        atomic_replacement(target, force=force) as onnx_file,
        atomic_replacement(record_target, force=force) as record_file,
        ExitStack() as beside,
    ):
        with evaluating(model), ready_for_export(model):
            call = plan_call(model, example_inputs, dynamic=dynamic, output_names=output_names)
            report_step("running the model")
            listened = listen(model, call)
            exported = export_model(model, call, chosen, opset)
            data = None
            if (large := data_beside(exported, target)) is not None:
                data = beside.enter_context(atomic_replacement(large, force=force)), large.name
            report_step("running what was exported")
            with one_blas_thread(), ThreadPoolExecutor(1) as aside:  # both fingerprint
                written = aside.submit(write_exported, exported, onnx_file, data)
                weights = aside.submit(weight_fingerprints, exported)
                probing = probed(model, exported, call, probe=probe)
                written.result()
            report_step("writing the record")
            made = record_exported(model, listened, exported, origin, probing, weights.result())
        with attribute_errors_to(record_file):
            record_file.write_bytes(encode_record(made))
    return TraceResult(target, record_target, made, made.source.why)


@dataclass(frozen=True)
class RecordResult:
    """What `record` made.

    Attributes:
        record_path: The record.
        record: Its content.
        notes: How it came about, and why.
    """

    record_path: Path
    record: Record
    notes: tuple[str, ...]


def record(
    model: nn.Module,
    example_inputs: Inputs,
    record_path: str | Path,
    *,
    exporter: str = Exporter.AUTO,
    opset: int = DEFAULT_OPSET,
    dynamic: Dynamic = False,
    output_names: Sequence[str] = (),
    probe: bool = True,
    force: bool = False,
    origin: Origin | None = None,
) -> RecordResult:
    """Record a model whose ONNX file exists already.

    The model is exported to see what an exporter makes of it, and what it wrote is dropped.
    Where no exporter can write it, or what it wrote cannot be run, the record is an *eager*
    one: every operator call of the model as it runs. The model is left as it was found.

    Args:
        model: Any module.
        example_inputs: As for `trace`.
        record_path: Where the record goes.
        exporter: As for `trace`; or `eager`, to ask none.
        opset: Of the export.
        dynamic: As for `trace`.
        output_names: As for `trace`.
        probe: Keep a fingerprint of every value.
        force: Overwrite an existing file.
        origin: What the record says about where the model came from.

    Raises:
        InputsError: The model cannot run on the inputs.
        ExportFailedError: The exporter that was asked for could not write the model.
        FileProblem: The record cannot be written, or exists.
        UsageError: No such exporter.
    """
    target = Path(record_path)
    chosen = None if exporter == RecordExporter.EAGER else resolve_exporter(exporter)
    with atomic_replacement(target, force=force) as record_file:
        with evaluating(model), ready_for_export(model):
            call = plan_call(model, example_inputs, dynamic=dynamic, output_names=output_names)
            made: Record | None = None
            why: tuple[str, ...] = ("eager: asked for",)
            if chosen is not None:
                made, why = _record_by_export(model, call, chosen, opset, origin, probe=probe)
            if made is None:
                report_step("running the model")
                made = record_eager(model, call, origin, probe=probe, why=why)
        with attribute_errors_to(record_file):
            record_file.write_bytes(encode_record(made))
    return RecordResult(target, made, made.source.why)


def _record_by_export(
    model: nn.Module,
    call: Call,
    exporter: Exporter,
    opset: int,
    origin: Origin | None,
    *,
    probe: bool,
) -> tuple[Record | None, tuple[str, ...]]:
    """The record of what an exporter writes; None, and why, when an eager one serves better."""
    report_step("running the model")
    listened = listen(model, call)
    try:
        exported = export_model(model, call, exporter, opset)
    except ExportFailedError as error:
        if exporter is not Exporter.AUTO:
            raise
        return None, (f"eager: {error}",)
    report_step("running what was exported")
    probing = probed(model, exported, call, probe=probe)
    if exporter is Exporter.AUTO and probe and probing.found.missing is not None:
        return None, (f"eager: {probing.found.missing}",)
    weights = weight_fingerprints(exported)
    return record_exported(model, listened, exported, origin, probing, weights), ()
