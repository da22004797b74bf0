"""Axes and outputs of a dynamo export, called as the user asked."""

from collections.abc import Iterator

import onnx_ir
import torch
from torch.onnx._internal.exporter import _ir_passes

from hierarchy.errors import ExportFailedError
from tracer.calling import Call


def free_axes(call: Call) -> Iterator[dict[int, object]]:
    """For each tensor the axes that torch.export may leave open; it finds out how they relate."""
    for name in call.tensors:
        yield dict.fromkeys(call.axes.get(name, ()), torch.export.Dim.AUTO)


def name_axes(model: onnx_ir.Model, call: Call) -> None:
    """Give dynamic axes the names that were asked for, wherever their symbols stand.

    Raises:
        ExportFailedError: An axis that was asked for by name has become a fixed one.
    """
    inputs = {value.name: value for value in model.graph.inputs}
    names: dict[str, str] = {}
    for input_name, axes in call.axes.items():
        if (value := inputs.get(input_name)) is None or value.shape is None:
            continue  # the model never reads it
        for axis, name in axes.items():
            if name is None:
                continue
            found = value.shape[axis]
            if isinstance(found, int) or found.value is None:
                raise ExportFailedError(
                    f"axis {axis} of {input_name} cannot be dynamic: the model fixes it to {found}"
                )
            names.setdefault(found.value, name)
    if names:
        _ir_passes.rename_axis(model, names)  # type: ignore[arg-type]


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
