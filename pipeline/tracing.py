"""Tracing from a source to files: what `modelexport trace` does."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from modelexport.errors import UsageError
from modelexport.hierarchy.choices import RecordExporter
from modelexport.hierarchy.export_config import ExportConfig, InputSpec
from modelexport.hierarchy.record import check_targets, record_path
from modelexport.hierarchy.trace_summary import TracePlan, TraceSummary, summary_of
from modelexport.support.extras import require_extra
from modelexport.support.files import check_target
from modelexport.support.progress import step

if TYPE_CHECKING:
    from modelexport.tracer import Loaded, RecordResult, TraceResult


def trace_source(
    source: str,
    onnx_path: Path | None,
    *,
    record: Path | None = None,
    config: ExportConfig = ExportConfig(),  # noqa: B008 - frozen
    asked: Mapping[str, InputSpec] | None = None,
    probe: bool = True,
    trust_remote_code: bool = False,
    force: bool = False,
) -> TraceSummary:
    """Load a model, export it to plain ONNX and record the module of every node.

    Args:
        source: `package.module:factory`, `file.py:factory`, a Hugging Face folder or hub id.
        onnx_path: Where the plain file goes; None to write a record alone.
        record: Where the record goes; beside the plain file by default.
        config: How the model is traced.
        asked: What the command line says of some inputs, which wins over the configuration.
        probe: Keep a fingerprint of every value.
        trust_remote_code: Let a Hugging Face folder run its own code.
        force: Overwrite existing files.

    Raises:
        ModelExportError: As `tracer.load` and `tracer.trace` do.
    """
    check_traced(onnx_path, record, config, force=force)
    loaded = loaded_source(source, config, asked, trust_remote_code=trust_remote_code)
    from modelexport import tracer  # noqa: PLC0415 - torch loads when a model is to be traced

    run: Callable[..., RecordResult | TraceResult]
    if onnx_path is None:
        assert record is not None
        run = partial(tracer.record, loaded.model, loaded.inputs, record)
    else:
        run = partial(tracer.trace, loaded.model, loaded.inputs, onnx_path, record=record)
    made = run(**tracer.options_of(config), probe=probe, force=force, origin=loaded.origin)
    return summary_of(made.record, onnx_path, made.record_path)


def plan_source(
    source: str,
    onnx_path: Path | None,
    *others: Path | None,
    record: Path | None = None,
    config: ExportConfig = ExportConfig(),  # noqa: B008 - frozen
    asked: Mapping[str, InputSpec] | None = None,
    trust_remote_code: bool = False,
    force: bool = False,
) -> TracePlan:
    """What would be exported, without exporting it.

    Args:
        source: As for `trace_source`.
        onnx_path: As for `trace_source`.
        others: Files that would be written, too.
        record: As for `trace_source`.
        config: As for `trace_source`.
        asked: As for `trace_source`.
        trust_remote_code: As for `trace_source`.
        force: Whether existing files may be overwritten.

    Raises:
        ModelExportError: What would be refused is refused here, too.
    """
    check_traced(onnx_path, record, config, force=force)
    for path in filter(None, others):
        check_target(path, force=force)
    loaded = loaded_source(source, config, asked, trust_remote_code=trust_remote_code)
    from modelexport import tracer  # noqa: PLC0415 - see above

    beside = None if onnx_path is None else record_path(onnx_path)
    return tracer.planned(loaded, config, onnx_path, record or beside, *others)


def check_traced(
    onnx_path: Path | None, record: Path | None, config: ExportConfig, *, force: bool
) -> None:
    """Refuse what cannot be done before torch is loaded for it.

    Raises:
        FileProblem: A file exists, or cannot be written.
        UsageError: Nothing is to be written, or what an eager record cannot give.
    """
    if onnx_path is None and record is None:
        raise UsageError("trace needs OUT.onnx, or --record-only to write a record alone.")
    if onnx_path is not None and str(config.exporter) == RecordExporter.EAGER:
        raise UsageError("--exporter eager writes no ONNX file: it needs trace --record-only.")
    check_targets(onnx_path, record, force=force)


def loaded_source(
    source: str,
    config: ExportConfig,
    asked: Mapping[str, InputSpec] | None,
    *,
    trust_remote_code: bool,
) -> "Loaded":
    """A model and its inputs.

    Raises:
        MissingExtraError: torch is not installed.
        ModelExportError: As `tracer.load` does.
    """
    step("loading torch")
    with require_extra("trace", "tracing"):
        from modelexport import tracer  # noqa: PLC0415 - see above
    return tracer.load_configured(source, config, asked, trust_remote_code=trust_remote_code)
