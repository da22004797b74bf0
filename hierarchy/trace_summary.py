"""What tracing is going to make, and what it made, in short."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from modelexport.hierarchy.record import Record


class TraceSummary(msgspec.Struct, frozen=True):
    """What tracing made.

    Attributes:
        onnx: The plain file; None when only a record was asked for.
        record: The record.
        exporter: Who wrote the plain file.
        opset: Of its default domain.
        modules: How many modules the model has, under all their paths.
        nodes: How many nodes the file has, or operators the eager run.
        scoped: How many of these have their module.
        notes: Which exporter and opset were taken and why.
        unprobed: Why there are no fingerprints of values, when there are none.
    """

    onnx: str | None
    record: str
    exporter: str
    opset: int
    modules: int
    nodes: int
    scoped: int
    notes: tuple[str, ...]
    unprobed: str | None = None


def summary_of(record: Record, onnx_path: Path | None, record_path: Path) -> TraceSummary:
    """A record in short."""
    return TraceSummary(
        onnx=None if onnx_path is None else str(onnx_path),
        record=str(record_path),
        exporter=record.source.exporter,
        opset=record.source.opset,
        modules=len(record.modules),
        nodes=len(record.ops),
        scoped=sum(op.module is not None for op in record.ops),
        notes=record.source.why,
        unprobed=record.probe.missing,
    )


class PlannedInput(msgspec.Struct, frozen=True):
    """One input of a model.

    Attributes:
        name: Its name in the file.
        dtype: Of its elements.
        shape: Its extents; of a dynamic axis its name, `?` where it has none.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class PlannedExporter(msgspec.Struct, frozen=True):
    """An exporter that will be tried, and the opset that it will write."""

    name: str
    opset: int


class TracePlan(msgspec.Struct, frozen=True):
    """What would be exported.

    Attributes:
        source: What would be traced.
        class_name: Of the model, with its python module.
        modules: How many modules it has, under all their paths.
        parameters: How many numbers its parameters hold.
        inputs: What it would be run on.
        exporters: Who would be asked, in this order, until one can do it; none for an eager
            record.
        output_names: What the outputs would be called, if that was asked for.
        files: What would be written.
    """

    source: str
    class_name: str
    modules: int
    parameters: int
    inputs: tuple[PlannedInput, ...]
    exporters: tuple[PlannedExporter, ...]
    output_names: tuple[str, ...]
    files: tuple[str, ...]


def files_of(*paths: Path | None) -> Sequence[str]:
    """The names of the files among some."""
    return [str(path) for path in paths if path is not None]
