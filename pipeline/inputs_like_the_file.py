"""Inputs for a model without example inputs: with the shapes and types of its record or file."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from onnx.helper import tensor_dtype_to_np_dtype

from modelexport.errors import InputsError
from modelexport.hierarchy.choices import DType
from modelexport.hierarchy.export_config import InputSpec, TraceOptions
from modelexport.hierarchy.record import Record
from modelexport.pipeline.source_tracing import load_source
from modelexport.rewriter.annotation.model_file import ModelFile

if TYPE_CHECKING:
    from modelexport.tracer import Loaded


def load_beside_file(
    source: str,
    options: TraceOptions,
    input_specs: Mapping[str, InputSpec] | None,
    record: Record | None,
    path: Path,
) -> "Loaded":
    """Load a model that is compared with a file.

    Args:
        source: The model.
        options: How it is loaded.
        input_specs: Shapes and dtypes of inputs that the user gives.
        record: The record of the model, if there is one.
        path: The file.

    Raises:
        InputsError: The model has no example inputs, and neither the record nor the file has their
            shapes.
        ModelExportError: As `load` does.
    """
    try:
        return load_source(source, options, input_specs)
    except InputsError:
        specs = _file_specs(path) if record is None else _recorded_specs(record)
        if input_specs or not specs:
            raise
        return load_source(source, options, specs)


def _recorded_specs(record: Record) -> dict[str, InputSpec]:
    arrays = {entry.name: entry.to_array() for entry in record.probe.inputs}
    return {name: _spec(array.shape, str(array.dtype)) for name, array in arrays.items()}


def _file_specs(path: Path) -> dict[str, InputSpec]:
    """Shapes and types of a file's inputs; none if any of their extents is open."""
    specs: dict[str, InputSpec] = {}
    with ModelFile.open(path) as file:
        weights = {weight.name for weight in file.model.graph.initializer}
        for value in file.model.graph.input:
            kind = value.type.tensor_type
            if value.name in weights:
                continue
            if not all(extent.HasField("dim_value") for extent in kind.shape.dim):
                return {}
            shape = tuple(extent.dim_value for extent in kind.shape.dim)
            specs[value.name] = _spec(shape, str(tensor_dtype_to_np_dtype(kind.elem_type)))
    return specs


def _spec(shape: tuple[int, ...], dtype: str) -> InputSpec:
    return InputSpec(shape, DType(dtype) if dtype in set(DType) else None)
