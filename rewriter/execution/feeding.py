"""Recorded probe inputs for a file whose inputs may be named, ordered and typed otherwise."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import onnx

from modelexport.hierarchy.fingerprints import Array

Feeds = dict[str, Array]
Given = Sequence[tuple[str, Array]]

_MOST_ORDERS = 6
"""How many orders of inputs of one kind are worth a run each."""


class InputMismatchError(Exception):
    """No recorded input fits an input of the file; the message says which and why."""


def inputs_of(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs that a caller must give: not the weights that old files list among them."""
    held = {weight.name for weight in graph.initializer}
    return [value for value in graph.input if value.name not in held]


def candidate_feeds(graph: onnx.GraphProto, given: Given) -> Iterator[Feeds]:
    """Every sensible way to feed a file, the most likely first.

    An input gets what was recorded under its name where that fits; the others get, in order,
    what fits of the rest by type, rank and extents. Where several inputs are of one kind and
    their names say nothing, their order may have changed.

    Raises:
        InputMismatchError: An input fits nothing that was recorded.
    """
    recorded = dict(given)
    wanted = inputs_of(graph)
    named = {v.name for v in wanted if v.name in recorded and _fits(v, recorded[v.name])}
    fixed = {name: recorded[name] for name in named}
    open_inputs = [value for value in wanted if value.name not in named]
    rest = [(name, array) for name, array in given if name not in named]
    first = _assign(open_inputs, rest)
    tried = 0
    for order in itertools.permutations(first):
        if all(_fits(v, rest[pick][1]) for v, pick in zip(open_inputs, order, strict=True)):
            feeds = dict(fixed)
            for value, pick in zip(open_inputs, order, strict=True):
                feeds[value.name] = rest[pick][1]
            yield {value.name: _typed(value, feeds[value.name]) for value in wanted}
            tried += 1
        if tried == _MOST_ORDERS:
            return


def _assign(inputs: list[onnx.ValueInfoProto], rest: list[tuple[str, Array]]) -> list[int]:
    """For each input the first recorded one that fits and is not taken."""
    picks: list[int] = []
    for value in inputs:
        fitting = (k for k, (_, a) in enumerate(rest) if k not in picks and _fits(value, a))
        pick = next(fitting, None)
        if pick is None:
            raise InputMismatchError(_why_not(value, rest))
        picks.append(pick)
    return picks


def _fits(value: onnx.ValueInfoProto, array: Array) -> bool:
    kind = _dtype(value)
    if kind is None or _class(kind) != _class(array.dtype):
        return False
    if not value.type.tensor_type.HasField("shape"):
        return True
    dims = value.type.tensor_type.shape.dim
    return len(dims) == array.ndim and all(
        not dim.HasField("dim_value") or dim.dim_value in {0, extent}
        for dim, extent in zip(dims, array.shape, strict=True)
    )


def _typed(value: onnx.ValueInfoProto, array: Array) -> Array:
    kind = _dtype(value)
    assert kind is not None
    return array.astype(kind, copy=False)


def _dtype(value: onnx.ValueInfoProto) -> np.dtype | None:
    if value.type.WhichOneof("value") != "tensor_type":
        return None
    try:
        return onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    except KeyError:
        return None


def _class(kind: np.dtype) -> str:
    return {"u": "i"}.get(kind.kind, kind.kind)


def _why_not(value: onnx.ValueInfoProto, rest: list[tuple[str, Array]]) -> str:
    dims = value.type.tensor_type.shape.dim
    shape = [d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in dims]
    wanted = f"{_dtype(value)}[{', '.join(map(str, shape))}]"
    left = ", ".join(f"{name} {a.dtype}{list(a.shape)}" for name, a in rest) or "none"
    return f"its input {value.name} is {wanted}; recorded inputs that are left: {left}"
