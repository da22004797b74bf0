"""Tracing a model by the name of its source: what `modelexport trace` does."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from modelexport.errors import UsageError
from modelexport.hierarchy.choices import RecordExporter
from modelexport.hierarchy.export_config import InputSpec, TraceOptions
from modelexport.hierarchy.record import check_targets, record_path
from modelexport.hierarchy.trace_summary import TracePlan, TraceSummary, summarize
from modelexport.support.extras import require_extra
from modelexport.support.files import check_target
from modelexport.support.progress import report_step

if TYPE_CHECKING:
    from modelexport.tracer import Loaded


def trace_source(
    source: str,
    onnx_path: str | Path | None = None,
    *,
    record: str | Path | None = None,
    options: TraceOptions = TraceOptions(),  # noqa: B008 - frozen
    input_specs: Mapping[str, InputSpec] | None = None,
    force: bool = False,
) -> TraceSummary:
    """Load a model, export it to plain ONNX and record the module of every node.

    Args:
        source: `package.module:factory`, `file.py:factory`, a Hugging Face folder or hub id.
        onnx_path: Where the plain file goes; None to write a record only.
        record: Where the record goes; beside the plain file by default.
        options: How the model is traced.
        input_specs: Shapes and dtypes of some inputs, which win over the options.
        force: Overwrite existing files.

    Returns:
        What was made, in short.

    Raises:
        ModelExportError: As `load`, `trace` and `record` do.
    """
    onnx_target = None if onnx_path is None else Path(onnx_path)
    record_target = _record_target(onnx_target, record)
    check_trace_targets(onnx_target, record_target, options, force=force)
    loaded = load_source(source, options, input_specs)
    from modelexport import tracer  # noqa: PLC0415 - torch loads when a model is traced

    traced: tracer.RecordResult | tracer.TraceResult
    if onnx_target is None:
        traced = tracer.record_loaded(loaded, record_target, options, force=force)
    else:
        traced = tracer.trace_loaded(
            loaded, onnx_target, options, record_path=record_target, force=force
        )
    return summarize(traced.record, onnx_target, record_target)


def plan_source(
    source: str,
    onnx_path: str | Path | None = None,
    *,
    record: str | Path | None = None,
    report: str | Path | None = None,
    options: TraceOptions = TraceOptions(),  # noqa: B008 - frozen
    input_specs: Mapping[str, InputSpec] | None = None,
    force: bool = False,
) -> TracePlan:
    """Describe what `trace_source` or `export` would do, without doing it.

    Args:
        source: As for `trace_source`.
        onnx_path: As for `trace_source`.
        record: As for `trace_source`.
        report: Where `export` would write its report, if anywhere.
        options: As for `trace_source`.
        input_specs: As for `trace_source`.
        force: Whether existing files may be overwritten.

    Raises:
        ModelExportError: `trace_source` would refuse this, too.
    """
    onnx_target = None if onnx_path is None else Path(onnx_path)
    record_target = _record_target(onnx_target, record)
    check_trace_targets(onnx_target, record_target, options, force=force)
    report_target = None if report is None else Path(report)
    if report_target is not None:
        check_target(report_target, force=force)
    loaded = load_source(source, options, input_specs)
    from modelexport import tracer  # noqa: PLC0415 - torch loads when a model is traced

    files = [path for path in (onnx_target, record_target, report_target) if path is not None]
    return tracer.plan_trace(loaded, options, files)


def _record_target(onnx_path: Path | None, record: str | Path | None) -> Path:
    """Where the record goes.

    Raises:
        UsageError: There is nothing to write.
    """
    if record is not None:
        return Path(record)
    if onnx_path is None:
        raise UsageError("trace needs OUT.onnx, or --record-only to write a record alone.")
    return record_path(onnx_path)


def check_trace_targets(
    onnx_path: Path | None, record: Path, options: TraceOptions, *, force: bool
) -> None:
    """Refuse what cannot be done before torch is loaded for it.

    Raises:
        FileProblem: A file exists, or cannot be written.
        UsageError: An ONNX file is asked for, and the eager record has none.
    """
    if onnx_path is not None and str(options.exporter) == RecordExporter.EAGER:
        raise UsageError("--exporter eager writes no ONNX file: it needs trace --record-only.")
    check_targets(onnx_path, record, force=force)


def load_source(
    source: str, options: TraceOptions, input_specs: Mapping[str, InputSpec] | None
) -> "Loaded":
    """Load a model and make its inputs.

    Raises:
        MissingExtraError: torch is not installed.
        ModelExportError: As `load` does.
    """
    report_step("loading torch")
    with require_extra("trace", "tracing"):
        from modelexport import tracer  # noqa: PLC0415 - torch loads when a model is traced
    return tracer.load_from_config(source, options, input_specs)
