"""`trace` makes a plain ONNX file and a record of a torch model."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from modelexport.errors import ExportFailedError, UsageError
from modelexport.hierarchy.choices import Exporter, RecordExporter
from modelexport.hierarchy.external_weights import external_weights_path
from modelexport.hierarchy.record import Record, encode_record, record_path
from modelexport.support.files import atomic_replacement, attribute_errors_to
from modelexport.support.progress import report_step
from modelexport.support.threads import one_blas_thread
from modelexport.tracer.eager.lazy_modules import initialise_lazy_modules
from modelexport.tracer.exporters.exported import ExportedGraph
from modelexport.tracer.exporters.model_file import (
    external_weights_target,
    write_model,
)
from modelexport.tracer.exporters.selection import (
    export_settings,
    resolve_exporter,
)
from modelexport.tracer.model_preparation import prepared, run_once, translation_advice
from modelexport.tracer.records.constant_inputs import refuse_constant_inputs
from modelexport.tracer.records.exported_record import build_exported_record
from modelexport.tracer.records.initializers import (
    InitializerFingerprints,
    initializer_fingerprints,
)
from modelexport.tracer.records.probe_inputs import ProbedExport, probe_export
from modelexport.tracer.sources.origin import Origin
from modelexport.tracer.sources.scripts import interpret
from modelexport.tracer.sources.signature import DynamicAxes, Inputs, ModelCall, bind_inputs
from modelexport.tracer.sources.translations import Translations
from modelexport.tracer.sources.weightless import on_fake_tensors
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
            call = on_fake_tensors(call, mode)
            run, call, siblings = run_once(model, call, stamp=stamp)
            try:
                exported = export_equal_layers_once(
                    model, call, chosen, settings, refuse_constant_inputs, siblings
                )
            except ExportFailedError as error:
                raise ExportFailedError(
                    f"{error} {translation_advice(run, settings)}To record the model without a "
                    "file, use --record-only FILE."
                ) from error
            external = None
            if (path := external_weights_target(exported, target)) is not None:
                external = external_files.enter_context(atomic_replacement(path, force=force))
            files = onnx_file, external, external_weights_path(target).name
            probed, weights = _write_and_probe(model, exported, call, files, probe=probe)
            report_step("writing the record")
            content = build_exported_record(model, run, probed, weights, origin)
        with attribute_errors_to(record_file):
            record_file.write_bytes(encode_record(content))
    has_values = not exported.valueless
    return TraceResult(target, record_target, content, content.source.why, has_values)


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
