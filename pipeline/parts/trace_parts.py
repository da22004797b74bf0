"""Tracing the parts of a generating model into a folder: encoder, decoder, decoder with past."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from modelexport.errors import ExportFailedError, FileProblem, SourceError, UsageError
from modelexport.hierarchy.annotate_options import AnnotateOptions
from modelexport.hierarchy.choices import PartRole, RecordExporter
from modelexport.hierarchy.export_config import InputSpec, TraceOptions
from modelexport.hierarchy.part_manifest import MANIFEST, Part, PartManifest, encode_part_manifest
from modelexport.hierarchy.record import record_path
from modelexport.hierarchy.trace_summary import TraceSummary, summarize
from modelexport.pipeline.parts.part_values import part_values
from modelexport.pipeline.source_tracing import load_source
from modelexport.rewriter.annotation.annotate_file import annotate
from modelexport.rewriter.annotation.report import AnnotateReport
from modelexport.support.files import atomic_replacement, write_error
from modelexport.support.folders import atomic_folder
from modelexport.support.progress import report_step

if TYPE_CHECKING:
    from modelexport.tracer import Loaded
    from modelexport.tracer.sources.generation.call_parts import ModelPart


class PartsResult(msgspec.Struct, frozen=True):
    """A folder of parts that was made.

    Attributes:
        folder: The folder.
        manifest: What is in it, and how it connects.
        traces: What tracing made, by the role of the part.
        annotations: What annotating decided, by the role of the part; empty for plain files.
    """

    folder: str
    manifest: PartManifest
    traces: dict[PartRole, TraceSummary]
    annotations: dict[PartRole, AnnotateReport] = {}


def trace_parts(
    source: str,
    folder: str | Path,
    *,
    options: TraceOptions = TraceOptions(),  # noqa: B008 - frozen
    input_specs: Mapping[str, InputSpec] | None = None,
    annotate_options: AnnotateOptions | None = None,
    force: bool = False,
) -> PartsResult:
    """Trace each part of a generating model, and write a manifest that connects them.

    An encoder-decoder model has three parts: the encoder, the decoder for the first tokens, and
    the decoder that reads its cache. A decoder has the last two; one that reads images or sounds
    beside text has an encoder of these. The record of each part has the modules of the whole model.

    Args:
        source: As for `trace_source`.
        folder: The folder to write to; it is made.
        options: How the parts are traced.
        input_specs: Shapes and dtypes of some inputs, which win over the options.
        annotate_options: How the hierarchy is written into the files; None for plain files.
        force: Overwrite existing files.

    Raises:
        ModelExportError: As `trace_source` does; or the model does not generate text.
        UsageError: An option is for a single file.
    """
    _check_options(options)
    target = Path(folder)
    _check_folder(target, force=force)
    if not options.weights:
        raise SourceError(f"{source}: its parts are found by a run, so it needs the weights.")
    whole = msgspec.structs.replace(options, with_past=False, task=options.plain_task)
    loaded = load_source(source, whole, input_specs)
    from modelexport import tracer  # noqa: PLC0415 - torch loads when a model is traced

    report_step("generating")
    parts = tracer.model_parts(loaded.model, loaded.inputs)
    connections = tracer.part_connections(loaded.model, parts)
    with atomic_folder(target, force=force) as stage:
        written = [
            _make_part(part, loaded, stage, target, options, annotate_options) for part in parts
        ]
        manifest = PartManifest(
            model=loaded.origin.name,
            class_name=f"{type(loaded.model).__module__}.{type(loaded.model).__qualname__}",
            task=loaded.origin.task,
            parts=tuple(entry for entry, _, _ in written),
            connections=connections,
        )
        with atomic_replacement(stage / MANIFEST) as file:
            file.write_bytes(encode_part_manifest(manifest))
    return PartsResult(
        folder=str(target),
        manifest=manifest,
        traces={entry.role: summary for entry, summary, _ in written},
        annotations={entry.role: report for entry, _, report in written if report is not None},
    )


def _check_options(options: TraceOptions) -> None:
    """Refuse options that are for a single file."""
    if str(options.exporter) == RecordExporter.EAGER:
        raise UsageError("--exporter eager writes no ONNX file, so it cannot be used with --parts.")
    if options.output_names or options.dynamic_axes or options.inputs:
        raise UsageError(
            "`inputs`, `dynamic_axes` and `output_names` of a configuration are for one file, so "
            "they cannot be used with --parts."
        )


def _check_folder(folder: Path, *, force: bool) -> None:
    """Refuse a folder with the files of other parts."""
    try:
        existing = sorted(p.name for p in folder.glob("*_model.onnx*")) if not force else []
        manifest = (folder / MANIFEST).exists()
    except OSError as error:
        raise write_error(folder, error) from error
    if not force and (existing or manifest):
        file = folder / (MANIFEST if manifest else existing[0])
        raise FileProblem(f"{file}: exists already; --force overwrites it.")


def _make_part(
    part: "ModelPart",
    loaded: "Loaded",
    stage: Path,
    folder: Path,
    options: TraceOptions,
    annotate_options: AnnotateOptions | None,
) -> tuple[Part, TraceSummary, AnnotateReport | None]:
    """Trace one part into a folder for unfinished files, and annotate its file there."""
    from modelexport import tracer  # noqa: PLC0415 - torch loads when a model is traced

    path = stage / f"{part.role}_model.onnx"
    with part.forward_of(loaded.model):
        try:
            traced = tracer.trace(
                loaded.model,
                part.inputs,
                path,
                **tracer.trace_arguments(options, part.axes),
                origin=loaded.origin,
            )
        except ExportFailedError as error:
            raise ExportFailedError(f"The {part.role.replace('_', ' ')}: {error}") from error
    report = None
    if annotate_options is not None and annotate_options.inject:
        report_step("annotating")
        annotated = stage / "annotated"
        report = annotate(path, traced.record, annotated, options=annotate_options)
        annotated.replace(path)
        report = msgspec.structs.replace(report, output=path.name)
    inputs, outputs = part_values(path)
    record = record_path(path)
    entry = Part(part.role, path.name, record.name, inputs, outputs)
    return entry, summarize(traced.record, folder / path.name, folder / record.name), report
