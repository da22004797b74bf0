"""The inputs and outputs of a graph that belong to single layers: the caches of a decoder."""

import re
from collections.abc import Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field

import onnx

_AXIS_NUMBER = re.compile(r"_(dim_)?\d+")
"""What TorchScript appends to the name of a value to name one of its axes."""


@dataclass(frozen=True)
class GraphEnds:
    """The inputs and outputs of a graph that belong to one block of layers each.

    Attributes:
        inputs: For each input that only one block reads, the one that another block reads.
        outputs: For each output that one block computes, the one that another block computes.
    """

    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)


def add_values(
    values: MutableSequence[onnx.ValueInfoProto], own: Mapping[str, str], order: Sequence[str]
) -> None:
    """Add inputs or outputs to a graph, or replace them.

    Args:
        values: Those that it has.
        own: Their names, by those that have the same types.
        order: The order of all.
    """
    by_name = {value.name: value for value in values}
    for name, new_name in own.items():
        value = onnx.ValueInfoProto()
        value.CopyFrom(by_name[name])
        value.name = new_name
        _rename_axes(value, name, new_name)
        by_name[new_name] = value
    positions = {name: position for position, name in enumerate(order)}
    ordered = sorted(by_name.values(), key=lambda value: positions.get(value.name, -1))
    messages = [value.SerializeToString() for value in ordered]
    del values[:]
    values.extend(onnx.ValueInfoProto.FromString(message) for message in messages)


def _rename_axes(value: onnx.ValueInfoProto, name: str, new_name: str) -> None:
    """Give new names to the axes of a value that are called after it.

    TorchScript calls axes `past.1.key_2`, or `Concatpresent.1.key_dim_2`.
    """
    for dim in value.type.tensor_type.shape.dim:
        before, own, number = dim.dim_param.rpartition(name)
        if own and _AXIS_NUMBER.fullmatch(number) and (not before or onnx.defs.has(before)):
            dim.dim_param = f"{before}{new_name}{number}"
