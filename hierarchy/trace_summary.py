"""Short descriptions of a trace: of one that was made, and of one that would be made."""

from pathlib import Path

import msgspec

from modelexport.hierarchy.record import Record


class TraceSummary(msgspec.Struct, frozen=True):
    """What tracing made.

    Attributes:
        onnx: The plain file; None when only a record was made.
        record: The record.
        exporter: The exporter that wrote the plain file.
        opset: Opset of its default domain.
        modules: Number of modules of the model, aliases included.
        nodes: Number of nodes of the file, or of operators of an eager run.
        scoped: Number of these whose module is known.
        notes: Which exporter and opset were chosen, and why.
        unprobed: Why the record has no fingerprints of values; None when it has them.
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


def summarize(record: Record, onnx_path: Path | None, record_path: Path) -> TraceSummary:
    """Summarize a record and the file that was traced with it."""
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
    """One input of the file that would be written.

    Attributes:
        name: Its name.
        dtype: The type of its elements.
        shape: Its extents. A dynamic axis has its name in place of an extent, or `?`.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class PlannedExporter(msgspec.Struct, frozen=True):
    """An exporter that would be tried.

    Attributes:
        name: Its name.
        opset: The opset of the file.
        else_opset: The opset of the file if the graph cannot be converted to `opset`; None when the
            exporter writes `opset` itself.
    """

    name: str
    opset: int
    else_opset: int | None = None


class TracePlan(msgspec.Struct, frozen=True):
    """What tracing would do.

    Attributes:
        source: What would be traced.
        class_name: Class of the model, with its Python module.
        modules: Number of modules of the model, aliases included.
        parameters: Number of elements of all parameters.
        inputs: The inputs it would run on.
        exporters: The exporters that would be tried, in this order, until one works. None for an
            eager record.
        output_names: Names for the outputs; empty for the model's own.
        files: The files that would be written.
    """

    source: str
    class_name: str
    modules: int
    parameters: int
    inputs: tuple[PlannedInput, ...]
    exporters: tuple[PlannedExporter, ...]
    output_names: tuple[str, ...]
    files: tuple[str, ...]
