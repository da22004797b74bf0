"""Axes and outputs of a dynamo export, called as the user asked."""

from collections.abc import Iterator
from typing import Any

import onnx_ir
import torch
from torch.onnx._internal.exporter import _ir_passes

from modelexport.errors import ExportFailedError
from modelexport.tracer.sources.signature import Call


def automatic_axes(call: Call) -> Iterator[dict[int, object]]:
    """For each tensor the axes that torch.export may leave open; it finds out how they relate."""
    for name in call.tensors:
        yield dict.fromkeys(call.axes.get(name, ()), torch.export.Dim.AUTO)


def name_axes(program: Any, call: Call) -> None:
    """Give dynamic axes the names that were asked for, wherever their symbols stand.

    Args:
        program: torch's ONNXProgram; its graph may show a symbol for an axis that
            torch.export has found to have one extent only.
        call: How the model is called.

    Raises:
        ExportFailedError: An axis that was asked for by name has become a fixed one.
    """
    ranges = program.exported_program.range_constraints
    fixed = {str(symbol): found.lower for symbol, found in ranges.items() if found.is_singleton()}
    inputs = {value.name: value for value in program.model.graph.inputs}
    names: dict[str, str] = {}
    for input_name, axes in call.axes.items():
        asked = [(axis, name) for axis, name in axes.items() if name is not None]
        if input_name not in inputs:
            continue  # the model never reads it
        for axis, name in asked:
            extent = inputs[input_name].shape[axis]
            symbol = str(getattr(extent, "value", extent))
            if isinstance(extent, int) or symbol in fixed:
                raise ExportFailedError(
                    f"axis {axis} of {input_name} cannot be dynamic: the model takes "
                    f"{fixed.get(symbol, extent)} there and nothing else"
                )
            names.setdefault(symbol, name)
    if names:
        _ir_passes.rename_axis(program.model, names)  # type: ignore[arg-type]


def name_outputs(model: onnx_ir.Model, call: Call) -> None:
    """Give the outputs the names that were asked for.

    Raises:
        ExportFailedError: The exporter wrote another number of outputs.
    """
    outputs = model.graph.outputs
    if not call.output_names:
        return
    if len(outputs) != len(call.output_names):
        raise ExportFailedError(
            f"it writes {len(outputs)} outputs, and {len(call.output_names)} were named"
        )
    for value, name in zip(outputs, call.output_names, strict=True):
        value.name = name
