"""Which outputs of parts feed which inputs, found by the values of one generation."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from modelexport.hierarchy.part_manifest import Connection
from modelexport.tracer.sources.generation.call_parts import ModelPart
from modelexport.tracer.sources.generation.captured_calls import named_tensors
from modelexport.tracer.sources.generation.model_parts import run_part

_TOLERANCE = 1e-5
"""Maximum distance of values that are the same: runs of other lengths may round differently."""


def part_connections(model: nn.Module, parts: Sequence[ModelPart]) -> tuple[Connection, ...]:
    """The outputs of parts that are inputs of later parts, or of a later run of the same part.

    The inputs of all parts come from one generation, so what one part gives is what another reads.

    Args:
        model: The model.
        parts: Its parts, in the order in which they run.
    """
    outputs = [run_part(model, part) for part in parts]
    connections: list[Connection] = []
    for number, part in enumerate(parts):
        used: set[tuple[int, str]] = set()
        for path, tensor in named_tensors(part.inputs).items():
            for earlier in reversed(range(number)):
                name = _same_values(outputs[earlier], tensor, {n for k, n in used if k == earlier})
                if name is None:
                    continue
                used.add((earlier, name))
                source, input_name = parts[earlier].role, ".".join(path)
                connections.append(Connection(source, name, part.role, input_name))
                if name in outputs[number]:
                    connections.append(Connection(part.role, name, part.role, input_name))
                break
    return tuple(connections)


def _same_values(
    outputs: Mapping[str, torch.Tensor], tensor: torch.Tensor, used: set[str]
) -> str | None:
    """The first output, not taken yet, that has the values of a tensor."""
    for name, output in outputs.items():
        if name in used or output.shape != tensor.shape or output.dtype != tensor.dtype:
            continue
        if tensor.is_floating_point() and torch.allclose(
            output, tensor, rtol=_TOLERANCE, atol=_TOLERANCE
        ):
            return name
    return None
