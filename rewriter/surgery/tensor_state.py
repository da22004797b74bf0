"""What a tensor object of graphsurgeon holds, and whether an edit has changed it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.ir.tensor import LazyValues, SparseValues


class TensorState(NamedTuple):
    """What a tensor object holds at one time; values are not loaded.

    Attributes:
        name: Its name.
        constant: Whether it is a `gs.Constant`.
        dtype, shape: Of a `gs.Variable`.
        values: The object that holds the values of a constant.
    """

    name: str
    constant: bool
    dtype: Any
    shape: Any
    values: Any

    def differs(self, other: "TensorState") -> bool:
        """Whether anything other than the values differs."""
        return self[:4] != other[:4]

    def type_differs(self, other: "TensorState") -> bool:
        """Whether anything other than the name and the values differs."""
        return self[1:4] != other[1:4]


def tensor_state(tensor: Any) -> TensorState:
    """What a tensor object holds now."""
    if isinstance(tensor, gs.Constant):
        values = tensor._values  # noqa: SLF001 - the property `values` would load them
        return TensorState(tensor.name, constant=True, dtype=None, shape=None, values=values)
    shape = None if tensor.shape is None else list(tensor.shape)
    return TensorState(tensor.name, constant=False, dtype=tensor.dtype, shape=shape, values=None)


def is_same_constant(tensor: Any, before: TensorState) -> bool:
    """Whether a tensor is a constant with the name and the values that it had."""
    return (
        isinstance(tensor, gs.Constant)
        and tensor.name == before.name
        and has_same_values(tensor, before)
    )


def has_same_values(tensor: Any, before: TensorState) -> bool:
    """Whether a constant has the values that it had; loading them is not a change."""
    values = tensor._values  # noqa: SLF001 - the property `values` would load them
    if values is before.values:
        return True
    if isinstance(values, LazyValues) or isinstance(before.values, SparseValues):
        return isinstance(before.values, SparseValues) and _equal(values, before.values.load())
    return isinstance(before.values, LazyValues) and _equal(values, before.values.load())


def _equal(left: Any, right: Any) -> bool:
    if not isinstance(left, np.ndarray) or left.dtype != right.dtype or left.shape != right.shape:
        return False
    if left.dtype == object:
        return bool((left == right).all())
    return bool(left.tobytes() == right.tobytes())


def used_tensors(graph: Any) -> Iterator[Any]:
    """The tensors that a graph or function uses itself; some are given more than once."""
    yield from (tensor for tensor in (*graph.inputs, *graph.outputs) if tensor.name)
    for node in graph.nodes:
        yield from (tensor for tensor in (*node.inputs, *node.outputs) if tensor.name)


def all_used_tensors(graph: Any) -> Iterator[Any]:
    """The tensors that a graph or function and its subgraphs use."""
    yield from used_tensors(graph)
    for node in graph.nodes:
        for value in node.attrs.values():
            if isinstance(value, gs.Graph):
                yield from all_used_tensors(value)
