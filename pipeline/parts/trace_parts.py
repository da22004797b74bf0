"""Tracing the parts of a generating model into a folder: encoder, decoder, decoder with past."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from modelexport.errors import ExportFailedError, FileProblem, UsageError
from modelexport.hierarchy.annotate_options import AnnotateOptions
from modelexport.hierarchy.choices import PartRole, RecordExporter
from modelexport.hierarchy.export_config import InputSpec, TraceOptions
from modelexport.hierarchy.part_manifest import (
    MANIFEST,
    Connection,
    Part,
    PartManifest,
    encode_part_manifest,
)
from modelexport.hierarchy.record import record_path
from modelexport.hierarchy.trace_summary import TracePlan, TraceSummary, summarize
from modelexport.pipeline.parts.loaded_parts import LoadedParts, load_parts
from modelexport.pipeline.parts.part_values import part_values
from modelexport.rewriter.annotation.annotate_file import annotate
from modelexport.rewriter.annotation.report import AnnotateReport
from modelexport.support.files import atomic_replacement, write_error
from modelexport.support.folders import atomic_folder
from modelexport.support.progress import report_step

if TYPE_CHECKING:
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


class PartsPlan(msgspec.Struct, frozen=True):
    """What tracing the parts of a model would do.

    Attributes:
        folder: The folder that would be made.
        parts: What would be done for each part.
        files: All files that would be written.
    """

    folder: str
    parts: dict[PartRole, TracePlan]
    files: tuple[str, ...]


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
    parts = load_parts(source, options, input_specs)
    return write_parts(parts, target, options, annotate_options, force=force)


def plan_parts(
    source: str,
    folder: str | Path,
    *,
    options: TraceOptions = TraceOptions(),  # noqa: B008 - frozen
    input_specs: Mapping[str, InputSpec] | None = None,
    force: bool = False,
) -> PartsPlan:
    """Describe what `trace_parts` would do, without doing it. The model generates a few tokens.

    Args:
        source: As for `trace_parts`.
        folder: As for `trace_parts`.
        options: As for `trace_parts`.
        input_specs: As for `trace_parts`.
        force: Whether existing files may be overwritten.

    Raises:
        ModelExportError: `trace_parts` would refuse this, too.
    """
    _check_options(options)
    target = Path(folder)
    _check_folder(target, force=force)
    parts = load_parts(source, options, input_specs)
    from modelexport import tracer  # noqa: PLC0415 - torch loads when a model is traced

    plans = {}
    for part in parts.parts:
        path = target / _file_name(part.role)
        with parts.as_part(part) as loaded:
            plans[part.role] = tracer.plan_trace(loaded, options, [path, record_path(path)])
    files = [file for plan in plans.values() for file in plan.files]
    return PartsPlan(str(target), plans, (*files, str(target / MANIFEST)))


def write_parts(
    parts: LoadedParts,
    folder: Path,
    options: TraceOptions,
    annotate_options: AnnotateOptions | None = None,
    *,
    force: bool = False,
) -> PartsResult:
    """Trace the parts of a model in memory.

    Args:
        parts: The model.
        folder: The folder to write to; it is made.
        options: How the parts are traced.
        annotate_options: How the hierarchy is written into the files; None for plain files.
        force: Overwrite existing files.

    Raises:
        ModelExportError: A part cannot be exported or written, or an option is for a single file.
    """
    _check_options(options)
    from modelexport import tracer  # noqa: PLC0415 - torch loads when a model is traced

    model, origin = parts.loaded.model, parts.loaded.origin
    connections = tracer.part_connections(model, parts.parts)
    with atomic_folder(folder, force=force) as stage:
        written = [
            _make_part(part, parts, stage, folder, options, annotate_options)
            for part in parts.parts
        ]
        entries = tuple(entry for entry, _, _ in written)
        manifest = PartManifest(
            model=origin.name,
            class_name=f"{type(model).__module__}.{type(model).__qualname__}",
            task=origin.task,
            parts=entries,
            connections=_between_files(connections, entries),
        )
        with atomic_replacement(stage / MANIFEST) as file:
            file.write_bytes(encode_part_manifest(manifest))
    return PartsResult(
        folder=str(folder),
        manifest=manifest,
        traces={entry.role: summary for entry, summary, _ in written},
        annotations={entry.role: report for entry, _, report in written if report is not None},
    )


def _between_files(
    connections: Iterable[Connection], parts: Iterable[Part]
) -> tuple[Connection, ...]:
    """The connections of values that the files have: exporters leave out inputs without readers."""
    inputs = {(part.role, value.name) for part in parts for value in part.inputs}
    outputs = {(part.role, value.name) for part in parts for value in part.outputs}
    return tuple(
        wire
        for wire in connections
        if (wire.target, wire.input) in inputs and (wire.source, wire.output) in outputs
    )


def _file_name(role: PartRole) -> str:
    """The name of a part's ONNX file, as runtimes know it."""
    return f"{role}_model.onnx"


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
    parts: LoadedParts,
    stage: Path,
    folder: Path,
    options: TraceOptions,
    annotate_options: AnnotateOptions | None,
) -> tuple[Part, TraceSummary, AnnotateReport | None]:
    """Trace one part into a folder for unfinished files, and annotate its file there."""
    from modelexport import tracer  # noqa: PLC0415 - torch loads when a model is traced

    path = stage / _file_name(part.role)
    with parts.as_part(part) as loaded:
        try:
            traced = tracer.trace_loaded(loaded, path, options)
        except ExportFailedError as error:
            raise ExportFailedError(f"The {part.role.words}: {error}") from error
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
