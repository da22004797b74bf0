"""Shapes and types of the values of a model: as declared, else as onnx infers them."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import onnx

from modelexport.errors import UsageError
from modelexport.hierarchy.graph_paths import parent_graph, walk_graphs, walk_nodes
from modelexport.hierarchy.opsets import DEFAULT_DOMAINS
from modelexport.rewriter.analysis.costs.sizes import bytes_of
from modelexport.rewriter.analysis.costs.surrogates import with_surrogates
from modelexport.support.error_texts import first_line

Dims = tuple[int | None, ...]


class Value(NamedTuple):
    """What is known of a tensor: its extents, each None where it is open, and its type."""

    dims: Dims
    data_type: int


def parse_dimension(text: str) -> tuple[str, int]:
    """What `NAME=8` says.

    >>> parse_dimension("batch=8")
    ('batch', 8)

    Raises:
        UsageError: It is not written so.
    """
    name, _, extent = text.rpartition("=")
    if not name or not extent.isdecimal():
        raise UsageError(f"--dim {text}: a dimension is given as NAME=8.")
    return name, int(extent)


class Shapes:
    """Looks up values.

    Args:
        model: The model; its weights may be left out. It stays as it is.
        bound: Extents for the open dimensions that have a name.

    Attributes:
        note: Why nothing could be inferred, if something was in the way.

    Raises:
        UsageError: No dimension has such a name.
    """

    def __init__(self, model: onnx.ModelProto, bound: Mapping[str, int] | None = None) -> None:
        self.note: str | None = None
        bound = bound or {}
        _refuse_unknown(model, bound)
        self._known: dict[tuple[str, str], Value] = dict(_collected(model, bound))
        if bound or any(
            self.elements(key.graph, name) is None
            for key, node in walk_nodes(model)
            for name in node.output
            if name
        ):
            self._infer(model, bound)

    def of(self, graph: str, name: str) -> Value | None:
        """A value as seen from a graph; a subgraph sees what the graphs around it have."""
        path: str | None = graph
        while path is not None:
            value = self._known.get((path, name))
            if value is not None:
                return value
            path = parent_graph(path)
        return None

    def dims(self, graph: str, name: str) -> tuple[int, ...] | None:
        """The extents of a value, if all of them are known."""
        found = self.of(graph, name)
        if found is None or None in found.dims:
            return None
        return tuple(extent for extent in found.dims if extent is not None)

    def elements(self, graph: str, name: str) -> int | None:
        """How many elements a value has."""
        dims = self.dims(graph, name)
        return None if dims is None else math.prod(dims)

    def bytes(self, graph: str, name: str) -> int | None:
        """How many bytes a value takes."""
        elements, value = self.elements(graph, name), self.of(graph, name)
        return None if elements is None or value is None else bytes_of(value.data_type, elements)

    def _infer(self, model: onnx.ModelProto, bound: Mapping[str, int]) -> None:
        made = onnx.ModelProto()
        made.CopyFrom(model)
        _bind(made, bound)
        _forget_open(made)
        with_surrogates(made)
        try:
            inferred = onnx.shape_inference.infer_shapes(made, data_prop=True)
        except (onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
            self.note = f"shapes could not be inferred ({first_line(error)})"
            return
        for where, value in _collected(inferred, bound):
            known = self._known.get(where)
            self._known[where] = value if known is None else _merged(known, value)


def _merged(declared: Value, inferred: Value) -> Value:
    if len(declared.dims) != len(inferred.dims):
        return declared
    pairs = zip(declared.dims, inferred.dims, strict=True)
    return Value(tuple(a if a is not None else b for a, b in pairs), declared.data_type)


def _collected(
    model: onnx.ModelProto, bound: Mapping[str, int]
) -> Iterator[tuple[tuple[str, str], Value]]:
    for place in walk_graphs(model):
        graph = place.graph
        infos: list[onnx.ValueInfoProto] = list(graph.value_info)
        if isinstance(graph, onnx.GraphProto):
            infos += [*graph.input, *graph.output]
            for tensor in graph.initializer:
                yield (place.path, tensor.name), Value(tuple(tensor.dims), tensor.data_type)
        for info in infos:
            value = _declared(info, bound)
            if value is not None:
                yield (place.path, info.name), value


def _declared(info: onnx.ValueInfoProto, bound: Mapping[str, int]) -> Value | None:
    tensor = info.type.tensor_type
    if info.type.WhichOneof("value") != "tensor_type" or not tensor.HasField("shape"):
        return None
    dims = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
    names = [d.dim_param for d in tensor.shape.dim]
    shown = (bound.get(n) if d is None else d for d, n in zip(dims, names, strict=True))
    return Value(tuple(shown), tensor.elem_type)


def _infos(model: onnx.ModelProto) -> Iterable[onnx.ValueInfoProto]:
    graph = model.graph
    return [*graph.input, *graph.output, *graph.value_info]


def _named_dimensions(model: onnx.ModelProto) -> set[str]:
    return {
        dim.dim_param
        for info in _infos(model)
        for dim in info.type.tensor_type.shape.dim
        if dim.dim_param
    }


def _refuse_unknown(model: onnx.ModelProto, bound: Mapping[str, int]) -> None:
    if unknown := sorted(set(bound) - (named := _named_dimensions(model))):
        there = ", ".join(sorted(named)) or "none"
        raise UsageError(f"No dimension is called {unknown[0]}; those with a name are: {there}.")


def _bind(model: onnx.ModelProto, bound: Mapping[str, int]) -> None:
    for info in _infos(model):
        if info.type.WhichOneof("value") == "tensor_type":
            for dim in info.type.tensor_type.shape.dim:
                if dim.dim_param in bound:
                    dim.dim_value = bound[dim.dim_param]


def _forget_open(model: onnx.ModelProto) -> None:
    """Take out what is declared with open extents, so that inference says all it knows.

    Except behind operators that onnx knows nothing about: there the declaration is all there is.
    """
    foreign = {n for v in model.graph.node if v.domain not in DEFAULT_DOMAINS for n in v.output}
    kept = [
        info.SerializeToString()
        for info in model.graph.value_info
        if info.name in foreign or (value := _declared(info, {})) is None or None not in value.dims
    ]
    del model.graph.value_info[:]
    model.graph.value_info.extend(onnx.ValueInfoProto.FromString(message) for message in kept)
