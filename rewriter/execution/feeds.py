"""Inputs of one model for another file of it, whose inputs may differ in name, order and type."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import onnx

from modelexport.hierarchy.fingerprints import Array, is_native
from modelexport.rewriter.execution.empty_inputs import (
    Shape,
    axis_names,
    can_be_empty,
    candidate_extents,
    read_extents,
)

Feeds = dict[str, Array]
"""An array for each input of a file."""

NamedArrays = Sequence[tuple[str, Array]]
"""Arrays with the names of the inputs that they were recorded for, in their order."""

_MAX_ORDERS = 6
"""Maximum number of orders of same-typed inputs that are tried; each takes a run of the file."""


class InputMismatchError(Exception):
    """An input of the file fits no recorded input; the message says which one and why."""


def graph_inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs that a caller must give. Old files list initializers among them, too."""
    initializers = {initializer.name for initializer in graph.initializer}
    inputs: dict[str, onnx.ValueInfoProto] = {}
    for value in graph.input:
        if value.name not in initializers:
            inputs.setdefault(value.name, value)  # of damaged files: a name can be there twice
    return list(inputs.values())


def candidate_feeds(
    graph: onnx.GraphProto, recorded: NamedArrays, shapes: Iterable[Shape] = ()
) -> Iterator[Feeds]:
    """The sensible ways to feed a file, the most likely one first.

    An input gets the array of its name where that fits. Each other input gets the first array
    that is left and fits by type, rank and static extents. Where several such inputs could take
    each other's arrays, their other orders follow. An input that no array is left for is fed with
    an array of length 0, where it has a dynamic axis (see `empty_inputs`).

    Args:
        graph: The main graph of the file.
        recorded: The recorded inputs.
        shapes: Shapes of recorded values, which tell the extents of inputs that were not recorded.

    Raises:
        InputMismatchError: An input fits no recorded array.
    """
    by_name = dict(recorded)
    inputs = graph_inputs(graph)
    named = {v.name for v in inputs if v.name in by_name and _fits(v, by_name[v.name])}
    remaining = [(name, array) for name, array in recorded if name not in named]
    indices = _assign([value for value in inputs if value.name not in named], remaining)
    fed = [v for v in inputs if v.name in named or v.name in indices]
    unnamed = [value for value in fed if value.name in indices]
    orders = (
        order
        for order in itertools.permutations(indices.values())
        if all(_fits(v, remaining[i][1]) for v, i in zip(unnamed, order, strict=True))
    )
    for order in itertools.islice(orders, _MAX_ORDERS):
        feeds = {name: by_name[name] for name in named}
        feeds |= {v.name: remaining[i][1] for v, i in zip(unnamed, order, strict=True)}
        arrays = {value.name: _converted(value, feeds[value.name]) for value in fed}
        if len(fed) == len(inputs):
            yield arrays
        else:
            yield from _with_empty_inputs(inputs, arrays, remaining, shapes)


def _with_empty_inputs(
    inputs: list[onnx.ValueInfoProto], arrays: Feeds, left: NamedArrays, shapes: Iterable[Shape]
) -> Iterator[Feeds]:
    """Feeds with arrays of length 0 for the inputs that were not recorded.

    Args:
        inputs: The inputs of the file.
        arrays: The arrays of those that were recorded.
        left: Recorded arrays that no input has the name of, for the message.
        shapes: Shapes of recorded values.

    Raises:
        InputMismatchError: An input that was not recorded has no axis that can be empty.
    """
    recorded: dict[str, int] = {}
    for value in inputs:
        if value.name in arrays:
            recorded |= read_extents(value, arrays[value.name].shape)
    unrecorded = [value for value in inputs if value.name not in arrays]
    for value in unrecorded:
        if _dtype(value) is None or not can_be_empty(value, recorded):
            raise InputMismatchError(_mismatch(value, left))
    for extents in candidate_extents(unrecorded, recorded, shapes):
        empty = {value.name: _empty(value, extents) for value in unrecorded}
        yield {value.name: (arrays | empty)[value.name] for value in inputs}


def _empty(value: onnx.ValueInfoProto, extents: Mapping[str, int]) -> Array:
    shape = [extents[axis] if isinstance(axis, str) else axis for axis in axis_names(value)]
    try:
        return np.zeros(shape, _dtype(value))
    except ValueError as error:
        extents_text = " x ".join(map(str, shape))
        raise InputMismatchError(f"input {value.name} is {extents_text}: too large") from error


def _assign(inputs: list[onnx.ValueInfoProto], arrays: NamedArrays) -> dict[str, int]:
    """For each input the index of the first array that fits and is not taken, if there is one."""
    assigned: dict[str, int] = {}
    for value in inputs:
        for index, (_, array) in enumerate(arrays):
            if index not in assigned.values() and _fits(value, array):
                assigned[value.name] = index
                break
    return assigned


def _fits(value: onnx.ValueInfoProto, array: Array) -> bool:
    """Whether an array has the kind of numbers, the rank and the static extents of an input."""
    dtype = _dtype(value)
    if dtype is None:
        return False
    if not _is_bytes_of(array.dtype, dtype) and _number_kind(dtype) != _number_kind(array.dtype):
        return False
    if not value.type.tensor_type.HasField("shape"):
        return True
    dims = value.type.tensor_type.shape.dim
    return len(dims) == array.ndim and all(
        not dim.HasField("dim_value") or dim.dim_value in {0, extent}
        for dim, extent in zip(dims, array.shape, strict=True)
    )


def fitting_array(value: onnx.ValueInfoProto, array: Array) -> Array:
    """An array in the type of an input.

    Raises:
        InputMismatchError: It has another kind of numbers, rank or extent.
    """
    if _dtype(value) is None:
        return array
    if not _fits(value, array):
        raise InputMismatchError(
            f"its {value.name} is {array.dtype}{list(array.shape)}, but the file takes "
            f"{_expected(value)}"
        )
    return _converted(value, array)


def _converted(value: onnx.ValueInfoProto, array: Array) -> Array:
    """An array in the type of an input."""
    dtype = _dtype(value)
    assert dtype is not None
    if _is_bytes_of(array.dtype, dtype):
        return array.view(dtype)
    return array.astype(dtype, copy=False)


def _dtype(value: onnx.ValueInfoProto) -> np.dtype | None:
    """The type of an input's elements; None for what is no tensor."""
    if value.type.WhichOneof("value") != "tensor_type":
        return None
    try:
        return onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    except KeyError:
        return None


def _number_kind(dtype: np.dtype) -> str:
    """Numpy's kind of a type, signed and unsigned integers under one letter.

    Types that numpy lacks are real numbers or integers like its own.
    """
    if not is_native(dtype):
        return "i" if "int" in dtype.name else "f"
    return "i" if dtype.kind == "u" else dtype.kind


def _is_bytes_of(stored: np.dtype, dtype: np.dtype) -> bool:
    """Whether numpy's files store a type as raw bytes, because numpy lacks the type."""
    is_bytes = stored.kind == "V" and is_native(stored) and stored.fields is None
    return is_bytes and not is_native(dtype) and stored.itemsize == dtype.itemsize


def _expected(value: onnx.ValueInfoProto) -> str:
    """The type and shape of an input."""
    dims = value.type.tensor_type.shape.dim
    shape = [d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in dims]
    return f"{_dtype(value)}[{', '.join(map(str, shape))}]"


def _mismatch(value: onnx.ValueInfoProto, arrays: NamedArrays) -> str:
    expected = _expected(value)
    remaining = ", ".join(f"{name} {a.dtype}{list(a.shape)}" for name, a in arrays)
    others = f"the arrays that no other input takes do not fit: {remaining}"
    return (
        f"its input {value.name} is {expected}; {others if arrays else 'no array is left for it'}"
    )
