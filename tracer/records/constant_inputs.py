"""Finding inputs that an exporter turned into constants: the file would give wrong answers."""

from collections.abc import Iterator

import numpy as np
import onnx
import torch
from torch import nn

from modelexport.errors import ExportFailedError, InputsError
from modelexport.hierarchy.subgraphs import names_read
from modelexport.tracer.eager.arrays import to_numpy
from modelexport.tracer.eager.model_run import run_model
from modelexport.tracer.exporters.exported import ExportedGraph
from modelexport.tracer.sources.model_state import evaluation_mode
from modelexport.tracer.sources.signature import ModelCall

_SEED = 21
_READ_SHAPES = {"Shape", "Size"}
"""Operators that read the extents of a value, and none of its elements."""


def refuse_constant_inputs(model: nn.Module, call: ModelCall, exported: ExportedGraph) -> None:
    """Check that each input whose values matter is read by the exported graph.

    An input that no node reads may be one that the model never reads. So the model runs on other
    values of it: where its outputs change, the exporter made a constant of the example.

    Args:
        model: The model.
        call: The call on the example inputs.
        exported: What the exporter made.

    Raises:
        ExportFailedError: There is such an input.
    """
    if call.mode is not None:
        return  # without weights there are no values to compare
    read = _inputs_read(exported.model.graph)
    unread = [name for name, t in call.tensors.items() if name not in read and t.numel()]
    if not unread:
        return
    expected = _outputs(model, call)
    if not _are_equal(expected, _outputs(model, call)):
        return  # two runs on the same inputs differ, so a difference would mean nothing
    for name in unread:
        for tensor in _other_values(call.tensors[name]):
            try:
                outputs = _outputs(model, call.with_tensor(name, tensor))
            except InputsError:
                continue
            if not _are_equal(expected, outputs):
                raise ExportFailedError(
                    f"it turned the input {name} into a constant: the file would ignore it"
                )


def _outputs(model: nn.Module, call: ModelCall) -> dict[str, torch.Tensor]:
    """What a model returns with the same random numbers and the same buffers in each run.

    Raises:
        InputsError: The model cannot run.
    """
    with torch.random.fork_rng(devices=()), evaluation_mode(model):
        torch.default_generator.manual_seed(_SEED)
        return run_model(model, call)


def _inputs_read(graph: onnx.GraphProto) -> set[str]:
    """Inputs whose elements a node reads, and inputs that the graph returns."""
    whole = onnx.GraphProto()
    whole.node.extend(node for node in graph.node if node.op_type not in _READ_SHAPES)
    return {*names_read(whole), *(value.name for value in graph.output)}


def _other_values(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """Other tensors for an input, for which the model should compute something else."""
    if tensor.dtype is torch.bool:
        yield ~tensor
        return
    generator = torch.Generator().manual_seed(_SEED)
    if tensor.is_floating_point() or tensor.is_complex():
        noise = torch.randn(tensor.shape, generator=generator)
        yield noise.to(tensor)
        yield noise.abs().to(tensor)
        return
    if tensor.is_quantized:
        return
    for values in (1 - tensor, tensor + 1, tensor.flip(tuple(range(tensor.dim())))):
        yield values.clamp(min=0) if int(tensor.min()) >= 0 else values


def _are_equal(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    """Whether two runs returned the same numbers."""
    if left.keys() != right.keys():
        return False
    for name, tensor in left.items():
        a, b = to_numpy(tensor), to_numpy(right[name])
        if (
            a is not None
            and b is not None
            and not np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
        ):
            return False
    return True
