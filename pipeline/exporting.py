"""Tracing and annotating in one go: what `modelexport export` does."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelexport.errors import FileProblem, ModelExportError
from modelexport.hierarchy.annotate_options import AnnotateOptions
from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.export_config import ExportConfig, InputSpec
from modelexport.hierarchy.record import Record, record_path
from modelexport.hierarchy.trace_summary import TraceSummary, summary_of
from modelexport.pipeline.tracing import check_traced, loaded_source
from modelexport.rewriter.annotation.annotate_file import annotate
from modelexport.rewriter.annotation.report import AnnotateReport
from modelexport.support.extras import require_extra
from modelexport.support.files import atomic_replacement, check_target, writing
from modelexport.support.progress import step

if TYPE_CHECKING:
    from torch import nn

    from modelexport.tracer import Loaded, TraceResult


_ANNOTATED = ".annotated"
"""Name of the finished file before it gets its own."""


class ExportResult(msgspec.Struct, frozen=True):
    """What exporting made.

    Attributes:
        files: What was written.
        hierarchy: Where the file has the hierarchy; empty for a plain file.
        trace: What tracing made.
        annotation: What annotating decided.
    """

    files: tuple[str, ...]
    hierarchy: tuple[Inject, ...]
    trace: TraceSummary
    annotation: AnnotateReport


def export(  # noqa: PLR0913 - keyword-only options of an entry point
    source: "str | nn.Module",
    onnx_path: str | Path,
    *,
    inputs: Any = None,
    config: ExportConfig = ExportConfig(),  # noqa: B008 - frozen
    asked: Mapping[str, InputSpec] | None = None,
    hierarchy: AnnotateOptions = AnnotateOptions(),  # noqa: B008 - frozen
    record: str | Path | None = None,
    report: str | Path | None = None,
    probe: bool = True,
    trust_remote_code: bool = False,
    force: bool = False,
) -> ExportResult:
    """Trace a model and write its ONNX file with the hierarchy in it.

    All files appear when everything is done, or none.

    Args:
        source: A module; or what `trace_source` takes.
        onnx_path: Where the ONNX file goes.
        inputs: Example inputs of the module, as for `tracer.trace`; not for other sources.
        config: How the model is traced.
        asked: What the command line says of some inputs, which wins over the configuration.
        hierarchy: How the hierarchy is written; with an empty `inject` the file stays plain.
        record: Where the record goes; beside the ONNX file by default.
        report: Where every decision goes as JSON, if anywhere.
        probe: Keep a fingerprint of every value in the record.
        trust_remote_code: Let a Hugging Face folder run its own code.
        force: Overwrite existing files.

    Raises:
        ModelExportError: As tracing and annotating do.
    """
    target = Path(onnx_path)
    record_target = record_path(target) if record is None else Path(record)
    report_target = None if report is None else Path(report)
    check_traced(target, record_target, config, force=force)
    if report_target is not None:
        _check_report(report_target, target, record_target, force=force)
    loaded = _loaded(source, inputs, config, asked, trust_remote_code=trust_remote_code)
    with _staged(target) as stage, ExitStack() as files:
        written = {
            path: files.enter_context(atomic_replacement(path, force=force))
            for path in (target, record_target, report_target)
            if path is not None
        }
        traced = _trace(loaded, stage / target.name, config, probe=probe)
        decided = _annotate(stage, target, traced.record, hierarchy)
        with writing(written[record_target]):
            written[record_target].write_bytes(traced.record_path.read_bytes())
        if report_target is not None:
            with writing(written[report_target]):
                written[report_target].write_bytes(decided.to_json())
        data = stage / f"{target.name}.data"
        if data.exists():
            beside = target.with_name(data.name)
            written[beside] = files.enter_context(atomic_replacement(beside, force=force))
            data.replace(written[beside])
        (stage / (_ANNOTATED if hierarchy.inject else target.name)).replace(written[target])
    summary = summary_of(traced.record, target, record_target)
    return ExportResult(tuple(map(str, written)), hierarchy.inject, summary, decided)


def _check_report(report: Path, target: Path, record: Path, *, force: bool) -> None:
    check_target(report, force=force)
    for other, what in ((target, "the ONNX file"), (record, "the record")):
        if report.resolve() == other.resolve():
            raise FileProblem(f"{report}: the report and {what} are one file.")


def _loaded(
    source: "str | nn.Module",
    inputs: Any,
    config: ExportConfig,
    asked: Mapping[str, InputSpec] | None,
    *,
    trust_remote_code: bool,
) -> "Loaded":
    """The model and its inputs."""
    if isinstance(source, str):
        return loaded_source(source, config, asked, trust_remote_code=trust_remote_code)
    with require_extra("trace", "exporting"):
        from modelexport import tracer  # noqa: PLC0415 - torch loads when a model is to be traced
    return tracer.Loaded(source, inputs, tracer.Origin(type(source).__name__))


@contextmanager
def _staged(target: Path) -> Iterator[Path]:
    """A folder beside the target for what is not finished; errors name the target instead."""
    with tempfile.TemporaryDirectory(prefix=".modelexport.", dir=target.parent) as name:
        stage = Path(name)
        try:
            yield stage
        except ModelExportError as error:
            said = str(error).replace(str(stage / _ANNOTATED), str(target))
            raise type(error)(said.replace(str(stage / target.name), str(target))) from error


def _trace(loaded: "Loaded", plain: Path, config: ExportConfig, *, probe: bool) -> "TraceResult":
    from modelexport import tracer  # noqa: PLC0415 - see above

    return tracer.trace(
        loaded.model,
        loaded.inputs,
        plain,
        **tracer.options_of(config),
        probe=probe,
        origin=loaded.origin,
    )


def _annotate(
    stage: Path, target: Path, record: Record, hierarchy: AnnotateOptions
) -> AnnotateReport:
    """Decide about every node, and write the annotated file into the stage unless it is plain."""
    step("annotating")
    decided = annotate(
        stage / target.name,
        record,
        stage / _ANNOTATED if hierarchy.inject else None,
        options=hierarchy,
    )
    decided.output = target.name
    return decided
