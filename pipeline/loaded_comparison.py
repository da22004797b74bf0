"""Comparing a model in memory with an ONNX file, as a request says."""

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import msgspec
import numpy as np

from modelexport.errors import UsageError
from modelexport.hierarchy.annotate_options import DEFAULT_MEMORY
from modelexport.hierarchy.export_config import InputSpec, TraceOptions
from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.module_values import ModelValues
from modelexport.hierarchy.record import Record, read_record
from modelexport.rewriter import ModelComparison, Numeric, compare, compare_run
from modelexport.rewriter.annotation.model_file import ModelFile
from modelexport.rewriter.extraction.part_inputs import save_arrays
from modelexport.rewriter.matching import read_inputs
from modelexport.support.progress import report_step

if TYPE_CHECKING:
    from modelexport.tracer import Loaded


class ComparisonKeywords(TypedDict, total=False):
    """The types of `ComparisonOptions` as keyword arguments, for type checkers and editors."""

    numeric: Numeric
    options: TraceOptions
    input_specs: Mapping[str, InputSpec] | None
    module: str | None
    depth: int | None
    memory: int


@dataclass(frozen=True)
class ComparisonOptions:
    """How a model in torch is compared with a file, or with each file in a folder of parts.

    Attributes:
        numeric: How a file is run and compared. `probe` may have the inputs of all parts.
        options: How the model is loaded.
        input_specs: Shapes and dtypes of some inputs, which win over the options.
        module: Path or tag of a module, to compare only it and what is below it; parts that lack
            it are left out.
        depth: How many steps below that (or below the root) modules are shown.
        memory: Maximum bytes of values in memory at one time, where a file is run to match it.
    """

    numeric: Numeric = Numeric()  # noqa: RUF009 - frozen
    options: TraceOptions = TraceOptions()  # noqa: RUF009 - frozen
    input_specs: Mapping[str, InputSpec] | None = None
    module: str | None = None
    depth: int | None = None
    memory: int = DEFAULT_MEMORY


@dataclass(frozen=True)
class ComparisonRequest:
    """What is compared with a model, and how.

    Attributes:
        source: What the model is called.
        record, reference: As in `compare_source`.
        how: The options.
    """

    source: str
    record: Record | str | Path | None
    reference: str | Path | None
    how: ComparisonOptions

    def recorded(self) -> Record | None:
        """The record, read from its file."""
        if isinstance(self.record, str | Path):
            return read_record(Path(self.record))
        return self.record


def check_request(path: str | Path, request: ComparisonRequest) -> None:
    """Refuse what cannot be compared, before a model is loaded for it.

    Raises:
        UsageError: A suggestion is asked for without a float file to measure it.
        FileProblem: A file cannot be read.
    """
    if request.how.numeric.suggest and request.reference is None:
        raise UsageError(
            "--suggest needs the float file beside a model in torch: give --reference FLOAT.onnx."
        )
    _inputs(request.recorded(), request.how.numeric)
    with ModelFile.open(path):
        pass


def compare_loaded(
    loaded: "Loaded", path: str | Path, request: ComparisonRequest
) -> ModelComparison:
    """Run a model, and compare what its modules return with what an ONNX file computes.

    Args:
        loaded: The model and its example inputs.
        path: The file.
        request: How they are compared.
    """
    record, numeric, notes = request.recorded(), request.how.numeric, []
    with ModelFile.open(path) as file:
        is_annotated = file.carried is not None
    if record is None and not is_annotated:
        record = _record(loaded, request.how.options)
        notes.append(f"no record was given: {request.source} was recorded")
    inputs, inputs_from = _inputs(record, numeric)
    from modelexport import tracer  # noqa: PLC0415 - torch loads when a model is run

    feeds_from = inputs_from or "the model's example"
    values = tracer.run_modules(
        loaded.model, loaded.inputs, name=request.source, feeds=inputs, feeds_from=feeds_from
    )
    result = compare_run(
        values,
        path,
        record=record,
        tolerance=numeric.tolerance,
        libraries=numeric.libraries,
        module=request.how.module,
        depth=request.how.depth,
        memory=request.how.memory,
    )
    if numeric.suggest and request.reference is not None:
        suggesting = replace(request, record=record)
        result = _with_suggestion(result, path, suggesting, request.reference, values.feeds)
    if not result.same:
        again = tracer.run_modules(
            loaded.model, loaded.inputs, name=request.source, feeds=values.feeds
        )
        notes += _differing_runs(values, again)
    return msgspec.structs.replace(result, notes=[*notes, *result.notes])


def _differing_runs(values: ModelValues, again: ModelValues) -> list[str]:
    """Notes for the user about modules that compute other numbers at each run."""
    for call, other in zip(values.calls, again.calls, strict=False):
        pairs = zip(call.outputs, other.outputs, strict=False)
        if not all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in pairs):
            module = f"its module {call.path}" if call.path else "its own forward"
            return [f"{values.name} computes other numbers at each run, first in {module}"]
    return []


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
        return tracer.record_loaded(loaded, Path(folder, "record.json"), options).record


def _with_suggestion(
    result: ModelComparison,
    path: str | Path,
    request: ComparisonRequest,
    reference: str | Path,
    feeds: Mapping[str, Array],
) -> ModelComparison:
    """The result with what to leave out of quantisation, by the float file."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        save_arrays(folder / "inputs.npz", feeds)
        numeric = msgspec.structs.replace(request.how.numeric, probe=folder / "inputs.npz")
        compared = compare(
            reference,
            path,
            record=request.record,
            numeric=numeric,
            module=request.how.module,
            depth=request.how.depth,
            memory=request.how.memory,
        ).numeric
    return msgspec.structs.replace(
        result, suggestion=None if compared is None else compared.suggestion
    )
