"""`trace` makes a plain ONNX file and a record of a torch model; `record` makes only the record."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from modelexport.errors import ExportFailedError, UsageError
from modelexport.hierarchy.choices import Exporter, RecordExporter
from modelexport.hierarchy.external_weights import external_weights_path
from modelexport.hierarchy.record import Record, encode_record, record_path
from modelexport.support.error_texts import first_line
from modelexport.support.files import atomic_replacement, attribute_errors_to
from modelexport.support.progress import report_step
from modelexport.support.threads import one_blas_thread
from modelexport.tracer.eager.deep_calls import deep_calls
from modelexport.tracer.eager.lazy_modules import initialise_lazy_modules
from modelexport.tracer.eager.model_run import ModelRun, observe_run
from modelexport.tracer.exporters.exported import ExportedGraph, ExportSettings
from modelexport.tracer.exporters.model_file import (
    external_weights_target,
    write_model,
)
from modelexport.tracer.exporters.selection import (
    export_model,
    export_settings,
    resolve_exporter,
)
from modelexport.tracer.records.constant_inputs import refuse_constant_inputs
from modelexport.tracer.records.eager_record import build_eager_record
from modelexport.tracer.records.exported_record import build_exported_record
from modelexport.tracer.records.initializers import (
    InitializerFingerprints,
    initializer_fingerprints,
)
from modelexport.tracer.records.lower_opset import lower_opset
from modelexport.tracer.records.probe_inputs import ProbedExport, probe_export
from modelexport.tracer.sources.model_state import evaluation_mode
from modelexport.tracer.sources.origin import Origin
from modelexport.tracer.sources.scripts import interpret
from modelexport.tracer.sources.signature import DynamicAxes, Inputs, ModelCall, bind_inputs
from modelexport.tracer.sources.transformers_models import ready_for_export
from modelexport.tracer.sources.translations import Translations
from modelexport.tracer.sources.weightless import NO_WEIGHTS, fake_weights, on_fake_tensors
from modelexport.tracer.stamping.stamped_export import export_equal_layers_once

DEFAULT_OPSET = 17


@dataclass(frozen=True)
class TraceResult:
    """What `trace` made.

    Attributes:
        onnx_path: The plain ONNX file.
        record_path: The record file.
        record: The record.
        notes: Which exporter and opset were chosen, and why.
        has_values: Whether all initializers have values; those of a model without weights do not.
    """

    onnx_path: Path
    record_path: Path
    record: Record
    notes: tuple[str, ...]
    has_values: bool = True


def trace(  # noqa: PLR0913 - keyword-only options of an entry point
    model: nn.Module,
    example_inputs: Inputs,
    onnx_path: str | Path,
    *,
    record: str | Path | None = None,
    exporter: str = Exporter.AUTO,
    opset: int = DEFAULT_OPSET,
    dynamic: DynamicAxes = False,
    output_names: Sequence[str] = (),
    probe: bool = True,
    stamp: bool = True,
    custom_translation: Translations | None = None,
    force: bool = False,
    origin: Origin | None = None,
) -> TraceResult:
    """Export a model to plain ONNX, and record the module of every node.

    The model is left as it was.

    Args:
        model: Any module; a script (`torch.jit`) is interpreted, see `sources.scripts`.
        example_inputs: A tensor, positional inputs as a tuple or list, or keyword inputs as a
            dictionary. They are the probe inputs of the record too.
        onnx_path: The ONNX file to write. Weights of more than 2 GiB go to a file of their own
            beside it, `NAME.onnx.data`.
        record: The record file to write; by default `NAME.trace.json` beside the ONNX file.
        exporter: `auto` (the first that works), `dynamo` or `torchscript`; `htp` is an old name
            of `torchscript`.
        opset: Opset of the default domain. Where an exporter does not go so low, its graph is
            converted, if it computes the same then; otherwise a note says which opset it has.
        dynamic: Make every axis of every input dynamic; or the names of dynamic axes, by input
            and position (`{"ids": {0: "batch"}}`). Axes with a name must come out dynamic.
        output_names: Names for the outputs, in order; by default the model's own.
        probe: Run the file in onnxruntime, and record a fingerprint of every value.
        stamp: Export only some of many equal layers, and copy their nodes for the others, where the
            result is verified to be the same.
        custom_translation: For operators of torch (`torch.ops.lib.name.default`) the onnxscript
            functions that the dynamo exporter writes for them, as torch.onnx.export takes them.
        force: Overwrite existing files.
        origin: Where the model came from, for the record.

    Raises:
        InputsError: The model cannot run on the inputs.
        ExportFailedError: No exporter could export the model.
        FileProblem: A file exists already or cannot be written.
        UsageError: The exporter is unknown.
    """
    if exporter == RecordExporter.EAGER:
        raise UsageError("An eager record has no ONNX file: use --record-only.")
    chosen = resolve_exporter(exporter)
    settings = export_settings(chosen, opset, custom_translation)
    export = export_equal_layers_once if stamp else export_model
    model = interpret(model)
    initialise_lazy_modules(model, example_inputs)
    target = Path(onnx_path)
    record_target = Path(record) if record is not None else record_path(target)
    with (
        atomic_replacement(target, force=force) as onnx_file,
        atomic_replacement(record_target, force=force) as record_file,
        ExitStack() as external_files,
    ):
        with prepared(model) as mode:
            call = bind_inputs(model, example_inputs, dynamic=dynamic, output_names=output_names)
            run, call = _run(model, on_fake_tensors(call, mode))
            try:
                exported = export(model, call, chosen, settings, refuse_constant_inputs)
            except ExportFailedError as error:
                raise ExportFailedError(
                    f"{error} {_advice(run, settings)}To record the model without a file, use "
                    "--record-only FILE."
                ) from error
            exported = lower_opset(exported, call, settings.opset)
            external = None
            if (path := external_weights_target(exported, target)) is not None:
                external = external_files.enter_context(atomic_replacement(path, force=force))
            files = onnx_file, external, external_weights_path(target).name
            probed, weights = _write_and_probe(model, exported, call, files, probe=probe)
            report_step("writing the record")
            content = build_exported_record(model, run, probed, weights, origin)
        with attribute_errors_to(record_file):
            record_file.write_bytes(encode_record(content))
    return TraceResult(
        *(target, record_target, content, content.source.why), has_values=not exported.valueless
    )


@contextmanager
def prepared(model: nn.Module) -> Iterator[FakeTensorMode | None]:
    """Prepare a model for its runs and its export, for the time of the body.

    Yields:
        The mode under which a model without weights runs; None for a model with weights.
    """
    with (
        deep_calls(model),
        evaluation_mode(model),
        ready_for_export(model),
        fake_weights(model) as mode,
    ):
        yield mode


def _run(model: nn.Module, call: ModelCall) -> tuple[ModelRun, ModelCall]:
    """Run a model on the example inputs; the call gets the names of the outputs."""
    report_step("running the model")
    run = observe_run(model, call)
    return run, replace(call, output_names=run.output_names)


def _write_and_probe(
    model: nn.Module,
    exported: ExportedGraph,
    call: ModelCall,
    files: tuple[Path, Path | None, str],
    *,
    probe: bool,
) -> tuple[ProbedExport, InitializerFingerprints]:
    """Write an exported model in one thread, while its values are computed in another."""
    report_step("running what was exported")
    with one_blas_thread(), ThreadPoolExecutor(1) as executor:  # both threads use numpy
        written = executor.submit(write_model, exported, *files)
        weights = executor.submit(initializer_fingerprints, exported)
        probed = probe_export(model, exported, call, probe=probe)
        written.result()
    return probed, weights.result()


@dataclass(frozen=True)
class RecordResult:
    """What `record` made.

    Attributes:
        record_path: The record file.
        record: The record.
        notes: How the record was made, and why.
    """

    record_path: Path
    record: Record
    notes: tuple[str, ...]


def record(  # noqa: PLR0913 - keyword-only options of an entry point
    model: nn.Module,
    example_inputs: Inputs,
    record_path: str | Path,
    *,
    exporter: str = Exporter.AUTO,
    opset: int = DEFAULT_OPSET,
    dynamic: DynamicAxes = False,
    output_names: Sequence[str] = (),
    probe: bool = True,
    stamp: bool = True,
    custom_translation: Translations | None = None,
    force: bool = False,
    origin: Origin | None = None,
) -> RecordResult:
    """Record a model whose ONNX file exists already.

    The model is exported, and the file that the exporter makes is not kept. Where no exporter can
    export the model, or onnxruntime cannot run the result, the record is an *eager* one: every
    operator call of the model as it runs. The model is left as it was.

    Args:
        model: Any module.
        example_inputs: As for `trace`.
        record_path: The record file to write.
        exporter: As for `trace`; or `eager`, to use no exporter.
        opset: As for `trace`.
        dynamic: As for `trace`.
        output_names: As for `trace`.
        probe: Record a fingerprint of every value.
        stamp: As for `trace`.
        custom_translation: As for `trace`.
        force: Overwrite an existing file.
        origin: Where the model came from, for the record.

    Raises:
        InputsError: The model cannot run on the inputs.
        ExportFailedError: The exporter that the user chose could not export the model.
        FileProblem: The record file exists already or cannot be written.
        UsageError: The exporter is unknown.
    """
    model = interpret(model)
    initialise_lazy_modules(model, example_inputs)
    target = Path(record_path)
    chosen = None if exporter == RecordExporter.EAGER else resolve_exporter(exporter)
    settings = export_settings(chosen, opset, custom_translation)
    with atomic_replacement(target, force=force) as record_file:
        with prepared(model) as mode:
            call = bind_inputs(model, example_inputs, dynamic=dynamic, output_names=output_names)
            call = on_fake_tensors(call, mode)
            content: Record | None = None
            why: tuple[str, ...] = ("eager: asked for",)
            if chosen is not None:
                content, why = _record_by_export(
                    model, call, chosen, settings, origin, probe=probe, stamp=stamp
                )
            if content is None:
                report_step("running the model")
                content = build_eager_record(model, call, origin, probe=probe, why=why)
        with attribute_errors_to(record_file):
            record_file.write_bytes(encode_record(content))
    return RecordResult(target, content, content.source.why)


def _advice(run: ModelRun, settings: ExportSettings) -> str:
    """What to do about operators that the exporters may not know."""
    translated = {str(operator).partition(".default")[0] for operator in settings.translations}
    missing = [n for n in run.custom_operators if n.replace("::", ".") not in translated]
    if not missing:
        return ""
    return (
        f"It calls {', '.join(missing)}: give the dynamo exporter a translation with "
        "--custom-translation FILE.py:TABLE. "
    )


def _record_by_export(
    model: nn.Module,
    call: ModelCall,
    exporter: Exporter,
    settings: ExportSettings,
    origin: Origin | None,
    *,
    probe: bool,
    stamp: bool,
) -> tuple[Record | None, tuple[str, ...]]:
    """The record of what an exporter makes; None, and why, where an eager record is better.

    Raises:
        ExportFailedError: The exporter that the user chose failed.
    """
    run, call = _run(model, call)
    export = export_equal_layers_once if stamp else export_model
    try:
        exported = export(model, call, exporter, settings, refuse_constant_inputs)
    except ExportFailedError as error:
        if exporter is not Exporter.AUTO:
            raise ExportFailedError(
                f"{error} {_advice(run, settings)}To record the model without an exporter, use "
                "--exporter eager."
            ) from error
        return None, (f"eager: {error}",)
    exported = lower_opset(exported, call, settings.opset)
    report_step("running what was exported")
    try:
        probed = probe_export(model, exported, call, probe=probe)
        missing = probed.values.missing
        if exporter is Exporter.AUTO and probe and missing not in {None, NO_WEIGHTS}:
            return None, (f"eager: {missing}",)
        weights = initializer_fingerprints(exported)
        return build_exported_record(model, run, probed, weights, origin), ()
    except Exception as error:  # what exporters make of unusual models may break any reader
        if exporter is not Exporter.AUTO:
            raise
        reason = first_line(error, with_type=True)
        return None, (f"eager: what {exported.exporter} made cannot be recorded ({reason})",)
