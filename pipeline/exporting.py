"""Tracing and annotating in one step: what `modelexport export` does."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelexport.errors import FileProblem, ModelExportError
from modelexport.hierarchy.annotate_options import AnnotateOptions
from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.export_config import InputSpec, TraceOptions
from modelexport.hierarchy.external_weights import external_weights_path, refuse_existing_weights
from modelexport.hierarchy.record import Record, record_path
from modelexport.hierarchy.trace_summary import TraceSummary, summarize
from modelexport.pipeline.source_tracing import check_trace_targets, load_source
from modelexport.rewriter.annotation.annotate_file import annotate
from modelexport.rewriter.annotation.report import AnnotateReport
from modelexport.support.extras import require_extra
from modelexport.support.files import (
    atomic_replacement,
    attribute_errors_to,
    check_target,
    part_folder,
)
from modelexport.support.progress import report_step
from modelexport.support.real_paths import real_path

if TYPE_CHECKING:
    from torch import nn

    from modelexport.tracer import Loaded

_ANNOTATED = ".annotated"
"""Name of the annotated file in the staging folder."""


class ExportResult(msgspec.Struct, frozen=True):
    """What exporting made.

    Attributes:
        files: The files that were written.
        hierarchy: Where the file has the hierarchy; empty for a plain file.
        trace: What tracing made.
        annotation: What annotating decided.
    """

    files: tuple[str, ...]
    hierarchy: tuple[Inject, ...]
    trace: TraceSummary
    annotation: AnnotateReport


def export(
    source: "str | nn.Module",
    onnx_path: str | Path,
    *,
    inputs: Any = None,
    trace_options: TraceOptions = TraceOptions(),  # noqa: B008 - frozen
    input_specs: Mapping[str, InputSpec] | None = None,
    annotate_options: AnnotateOptions = AnnotateOptions(),  # noqa: B008 - frozen
    record: str | Path | None = None,
    report: str | Path | None = None,
    force: bool = False,
) -> ExportResult:
    """Trace a model and write its ONNX file with the hierarchy in it.

    All files appear when everything is done, or none of them does.

    Args:
        source: A module, or the name of a source as `trace_source` takes it.
        onnx_path: Where the ONNX file goes.
        inputs: Example inputs of a module, as `trace` takes them. Not used for other sources.
        trace_options: How the model is traced.
        input_specs: Shapes and dtypes of some inputs, which win over the options. Not used for a
            module.
        annotate_options: How the hierarchy is written; with an empty `inject` the file is plain.
        record: Where the record goes; beside the ONNX file by default.
        report: Where every decision goes as JSON, if anywhere.
        force: Overwrite existing files.

    Returns:
        What was made.

    Raises:
        ModelExportError: As `trace_source` and `annotate` do.
    """
    target = Path(onnx_path)
    record_target = record_path(target) if record is None else Path(record)
    report_target = None if report is None else Path(report)
    check_trace_targets(target, record_target, trace_options, force=force)
    if report_target is not None:
        _check_report(report_target, target, record_target, force=force)
    loaded = _load(source, inputs, trace_options, input_specs)
    from modelexport import tracer  # noqa: PLC0415 - torch loads when a model is traced

    with _staging_folder(target) as stage, ExitStack() as files:
        parts = {
            path: files.enter_context(atomic_replacement(path, force=force))
            for path in (target, record_target, report_target)
            if path is not None
        }
        traced = tracer.trace_loaded(loaded, stage / target.name, trace_options)
        annotation = _annotate(stage, target, traced.record, annotate_options)
        with attribute_errors_to(parts[record_target]):
            parts[record_target].write_bytes(traced.record_path.read_bytes())
        if report_target is not None:
            with attribute_errors_to(parts[report_target]):
                parts[report_target].write_bytes(annotation.to_json())
        if not traced.has_values:
            refuse_existing_weights(target)
        if (data := external_weights_path(stage / target.name)).exists():
            data_target = external_weights_path(target)
            parts[data_target] = files.enter_context(atomic_replacement(data_target, force=force))
            data.replace(parts[data_target])
        annotated = stage / (_ANNOTATED if annotate_options.inject else target.name)
        annotated.replace(parts[target])
    summary = summarize(traced.record, target, record_target)
    return ExportResult(tuple(map(str, parts)), annotate_options.inject, summary, annotation)


def _check_report(report: Path, target: Path, record: Path, *, force: bool) -> None:
    """Refuse a report that cannot be written, or that would overwrite another result."""
    check_target(report, force=force)
    for other, name in ((target, "the ONNX file"), (record, "the record")):
        if real_path(report) == real_path(other):
            raise FileProblem(f"{report}: the report and {name} are one file.")


def _load(
    source: "str | nn.Module",
    inputs: Any,
    options: TraceOptions,
    input_specs: Mapping[str, InputSpec] | None,
) -> "Loaded":
    """The model and its inputs."""
    if isinstance(source, str):
        return load_source(source, options, input_specs)
    with require_extra("trace", "exporting"):
        from modelexport import tracer  # noqa: PLC0415 - torch loads when a model is traced
    return tracer.Loaded(source, inputs, tracer.Origin(type(source).__name__))


@contextmanager
def _staging_folder(target: Path) -> Iterator[Path]:
    """A folder beside the target for unfinished files. Errors name the target in their place."""
    with part_folder(target) as stage:
        try:
            yield stage
        except ModelExportError as error:
            message = str(error).replace(str(stage / _ANNOTATED), str(target))
            raise type(error)(message.replace(str(stage / target.name), str(target))) from error


def _annotate(
    stage: Path, target: Path, record: Record, options: AnnotateOptions
) -> AnnotateReport:
    """Decide about every node, and write the annotated file unless the result is plain."""
    report_step("annotating")
    report = annotate(
        stage / target.name,
        record,
        stage / _ANNOTATED if options.inject else None,
        options=options,
    )
    return msgspec.structs.replace(report, output=target.name)
