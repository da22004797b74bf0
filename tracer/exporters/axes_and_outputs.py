"""The names of axes and outputs in a file that the dynamo exporter writes."""

from collections.abc import Iterator
from typing import Any

import onnx_ir
import torch
from torch.onnx._internal.exporter import _ir_passes

from modelexport.errors import ExportFailedError
from modelexport.tracer.sources.signature import ModelCall


def automatic_axes(call: ModelCall) -> Iterator[dict[int, object]]:
    """The dynamic axes of each input tensor. torch.export finds out how their extents relate."""
    for name in call.tensors:
        yield dict.fromkeys(call.axes.get(name, ()), torch.export.Dim.AUTO)


def name_axes(program: Any, call: ModelCall) -> None:
    """Rename the symbols of dynamic axes to the names that the user gave.

    Args:
        program: torch's ONNXProgram, which is changed. Its graph may have a symbol for an axis
            for which torch.export allows only one extent.
        call: How the model is called.

    Raises:
        ExportFailedError: An axis to which the user gave a name has become fixed.
    """
    ranges = program.exported_program.range_constraints
    fixed = {
        str(symbol): extents.lower for symbol, extents in ranges.items() if extents.is_singleton()
    }
    inputs = {value.name: value for value in program.model.graph.inputs}
    names: dict[str, str] = {}
    for input_name, axes in call.axes.items():
        if input_name not in inputs:
            continue  # the model never reads it
        for axis, name in axes.items():
            if name is None:
                continue
            extent = inputs[input_name].shape[axis]
            symbol = str(getattr(extent, "value", extent))
            if isinstance(extent, int) or symbol in fixed:
                raise ExportFailedError(
                    f"axis {axis} of {input_name} cannot be dynamic: the model accepts only "
                    f"{fixed.get(symbol, extent)} there"
                )
            names.setdefault(symbol, name)
    if names:
        _ir_passes.rename_axis(program.model, names)  # type: ignore[arg-type]


def name_outputs(model: onnx_ir.Model, call: ModelCall) -> None:
    """Rename the outputs to the names that the user gave.

    Raises:
        ExportFailedError: The exporter wrote another number of outputs.
    """
    outputs = model.graph.outputs
    if not call.requested_outputs:
        return
    names = [name for name in call.requested_outputs if name not in call.left_out]
    if len(outputs) != len(names):
        raise ExportFailedError(
            f"it writes {len(outputs)} outputs, but {len(names)} names are given"
        )
    for value, name in zip(outputs, names, strict=True):
        value.name = name
