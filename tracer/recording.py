"""`record` makes the record of a model, without a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from modelexport.errors import ExportFailedError
from modelexport.hierarchy.choices import Exporter, RecordExporter
from modelexport.hierarchy.record import Record, encode_record
from modelexport.support.error_texts import first_line
from modelexport.support.files import atomic_replacement, attribute_errors_to
from modelexport.support.progress import report_step
from modelexport.tracer.eager.lazy_modules import initialise_lazy_modules
from modelexport.tracer.exporters.exported import ExportSettings
from modelexport.tracer.exporters.selection import (
    export_settings,
    resolve_exporter,
)
from modelexport.tracer.model_preparation import prepared, run_once, translation_advice
from modelexport.tracer.records.constant_inputs import refuse_constant_inputs
from modelexport.tracer.records.eager_record import build_eager_record
from modelexport.tracer.records.exported_record import build_exported_record
from modelexport.tracer.records.initializers import (
    initializer_fingerprints,
)
from modelexport.tracer.records.probe_inputs import probe_export
from modelexport.tracer.sources.origin import Origin
from modelexport.tracer.sources.scripts import interpret
from modelexport.tracer.sources.signature import DynamicAxes, Inputs, ModelCall, bind_inputs
from modelexport.tracer.sources.translations import Translations
from modelexport.tracer.sources.weightless import NO_WEIGHTS, on_fake_tensors
from modelexport.tracer.stamping.stamped_export import export_equal_layers_once
from modelexport.tracer.tracing import DEFAULT_OPSET


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
    """The record of an exported graph; or None and the reason, if an eager record is better.

    Raises:
        ExportFailedError: The exporter that the user chose failed.
    """
    run, call, siblings = run_once(model, call, stamp=stamp)
    try:
        exported = export_equal_layers_once(
            model, call, exporter, settings, refuse_constant_inputs, siblings
        )
    except ExportFailedError as error:
        if exporter is not Exporter.AUTO:
            raise ExportFailedError(
                f"{error} {translation_advice(run, settings)}To record the model without an "
                "exporter, use --exporter eager."
            ) from error
        return None, (f"eager: {error}",)
    report_step("running what was exported")
    try:
        probed = probe_export(model, exported, call, probe=probe)
        missing = probed.values.missing
        if exporter is Exporter.AUTO and probe and missing not in {None, NO_WEIGHTS}:
            return None, (f"eager: {missing}",)
        weights = initializer_fingerprints(exported)
        return build_exported_record(model, run, probed, weights, origin), ()
    except Exception as error:  # unusual models may break any reader
        if exporter is not Exporter.AUTO:
            raise
        reason = first_line(error, with_type=True)
        return None, (f"eager: what {exported.exporter} made cannot be recorded ({reason})",)
