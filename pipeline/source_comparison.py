"""Comparing a model in torch with an ONNX file: what `modelexport compare SOURCE FILE` does."""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from modelexport.errors import UsageError
from modelexport.hierarchy.choices import RecordExporter
from modelexport.hierarchy.export_config import InputSpec, TraceOptions
from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.record import Record, read_record
from modelexport.pipeline.source_tracing import load_source
from modelexport.rewriter import ModelComparison, Numeric, compare, compare_run
from modelexport.rewriter.annotation.model_file import ModelFile
from modelexport.rewriter.extraction.part_inputs import save_arrays
from modelexport.rewriter.matching import read_inputs
from modelexport.support.progress import report_step

if TYPE_CHECKING:
    from modelexport.tracer import Loaded


def compare_source(
    source: str,
    path: str | Path,
    *,
    record: Record | str | Path | None = None,
    reference: str | Path | None = None,
    numeric: Numeric = Numeric(),  # noqa: B008 - frozen
    options: TraceOptions = TraceOptions(),  # noqa: B008 - frozen
    input_specs: Mapping[str, InputSpec] | None = None,
    module: str | None = None,
    depth: int | None = None,
) -> ModelComparison:
    """Run a model in torch, and compare what its modules return with what an ONNX file computes.

    Args:
        source: As for `trace_source`.
        path: An annotated file; any file of the model with a record. Without both, the model is
            recorded first.
        record: A trace record of the model, or its path. Its inputs are used, unless `numeric`
            names others.
        reference: The float file, for `Numeric.suggest`.
        numeric: How the file is run and compared.
        options: How the model is loaded.
        input_specs: Shapes and dtypes of some inputs, which win over the options.
        module: Path or tag of a module, to compare only it and what is below it.
        depth: How many steps below that (or below the root) modules are shown.

    Examples:
        >>> from modelexport import compare_source
        >>> result = compare_source("net.py:build", "net.annotated.onnx")
        >>> result.same, result.first
        (True, None)
        >>> compare_source("net.py:build", "changed.onnx", record="net.trace.json").first
        '/Net/layer.1/fc'

    Raises:
        ModelExportError: As `load` and `compare` do.
    """
    if numeric.suggest and reference is None:
        raise UsageError(
            "--suggest needs the float file beside a model in torch: give --reference FLOAT.onnx."
        )
    if isinstance(record, str | Path):
        record = read_record(Path(record))
    inputs, inputs_from = _inputs(record, numeric)
    with ModelFile.open(path) as file:
        is_annotated = file.carried is not None
    loaded = load_source(source, options, input_specs)
    notes = []
    if record is None and not is_annotated:
        record = _record(loaded, options)
        notes.append(f"{Path(path).name} is not annotated: {source} was recorded, to match it")
        inputs, inputs_from = _inputs(record, numeric)
    from modelexport import tracer  # noqa: PLC0415 - torch loads when a model is run

    feeds_from = inputs_from or "the model's example"
    values = tracer.run_modules(
        loaded.model, loaded.inputs, name=source, feeds=inputs, feeds_from=feeds_from
    )
    result = compare_run(
        values,
        path,
        record=record,
        tolerance=numeric.tolerance,
        libraries=numeric.libraries,
        module=module,
        depth=depth,
    )
    if numeric.suggest and reference is not None:
        result = _with_suggestion(result, reference, path, record, numeric, values.feeds)
    return msgspec.structs.replace(result, notes=[*notes, *result.notes])


def _inputs(record: Record | None, numeric: Numeric) -> tuple[dict[str, Array] | None, str | None]:
    """The inputs that the user gave, and where they come from; None for the model's example."""
    if numeric.probe is not None:
        return dict(read_inputs(numeric.probe)), numeric.probe.name
    if record is not None and record.probe.inputs:
        return {entry.name: entry.to_array() for entry in record.probe.inputs}, "the record's"
    return None, None


def _record(loaded: "Loaded", options: TraceOptions) -> Record:
    """A record of a model, for a file that has none."""
    from modelexport import tracer  # noqa: PLC0415 - torch loads when a model is recorded

    report_step("recording the model")
    with tempfile.TemporaryDirectory() as folder:
        arguments = tracer.trace_arguments(options)
        path = Path(folder, f"record.{RecordExporter.AUTO}.json")
        return tracer.record(loaded.model, loaded.inputs, path, **arguments).record


def _with_suggestion(
    result: ModelComparison,
    reference: str | Path,
    path: str | Path,
    record: Record | None,
    numeric: Numeric,
    feeds: Mapping[str, Array],
) -> ModelComparison:
    """The result with what to leave out of quantisation, by the float file."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        save_arrays(folder / "inputs.npz", feeds)
        options = msgspec.structs.replace(numeric, probe=folder / "inputs.npz")
        compared = compare(reference, path, record=record, numeric=options).numeric
    return msgspec.structs.replace(
        result, suggestion=None if compared is None else compared.suggestion
    )
