"""Exporting a model without weights with the dynamo exporter.

torch translates such a model, but its optimiser reads the values of initializers. So initializers
without values are made inputs of the graph while the optimiser runs, and it leaves them as they
are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import onnx_ir
from torch.onnx import ONNXProgram
from torch.onnx._internal.exporter._core import TorchTensor

from modelexport.tracer.exporters.exported import IN_MEMORY
from modelexport.tracer.sources.weightless import has_values


@contextmanager
def optimised_without_values() -> Iterator[None]:
    """Let torch's optimiser see initializers without values as inputs while the body runs."""
    optimise = ONNXProgram.optimize

    def optimise_structure(program: Any) -> None:
        valueless = [(value, value.const_value) for value in _valueless(program.model)]
        graph = program.model.graph
        for value, _ in valueless:
            del graph.initializers[value.name]
            graph.inputs.append(value)
            value.const_value = None
        optimise(program)
        graph = program.model.graph
        for value, tensor in valueless:
            graph.inputs.remove(value)
            value.const_value = tensor
            if value.uses() or value.is_graph_output():
                graph.initializers[value.name] = value

    with mock.patch.object(ONNXProgram, "optimize", optimise_structure):
        yield


def lift_valueless(model: onnx_ir.Model) -> frozenset[str]:
    """Make initializers without values references to `IN_MEMORY`.

    Returns:
        Their names.
    """
    valueless = _valueless(model)
    for value in valueless:
        tensor = value.const_value
        assert tensor is not None
        value.const_value = onnx_ir.ExternalTensor(
            *(IN_MEMORY, 0, tensor.nbytes, tensor.dtype),
            shape=onnx_ir.Shape(tensor.shape.numpy()),
            name=value.name or "",
        )
    return frozenset(value.name or "" for value in valueless)


def _valueless(model: onnx_ir.Model) -> list[onnx_ir.Value]:
    """The initializers of the main graph that stand for tensors without values."""
    return [
        value
        for value in model.graph.initializers.values()
        if isinstance(value.const_value, TorchTensor) and not has_values(value.const_value.raw)
    ]
