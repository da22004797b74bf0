"""Shapes and types of the values of a model: as declared, else as onnx infers them."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, cast

import onnx

from modelexport.errors import UsageError
from modelexport.hierarchy.graph_paths import MAIN, LocatedGraph, parent_graph, walk_graphs
from modelexport.hierarchy.opsets import DEFAULT_DOMAINS
from modelexport.rewriter.analysis.costs.sizes import tensor_bytes
from modelexport.rewriter.analysis.costs.surrogates import (
    may_have_surrogate,
    replace_contrib_operators,
)
from modelexport.rewriter.graph.onnx_errors import ONNX_ERRORS
from modelexport.support.error_texts import first_line
from modelexport.support.numerals import MOST_ELEMENTS, is_numeral


class TensorType(NamedTuple):
    """Shape and type of a value.

    Attributes:
        dims: Its dimensions; None for each that is open.
        data_type: One of `onnx.TensorProto.DataType`.
    """

    dims: tuple[int | None, ...]
    data_type: int


TensorTypes = dict[str, TensorType]
"""Types of the values of a graph by their names."""


def parse_dimension(text: str) -> tuple[str, int]:
    """Name and size of a dimension that is written as `NAME=8`.

    >>> parse_dimension("batch=8")
    ('batch', 8)

    Raises:
        UsageError: The text has another form.
    """
    name, _, size = text.rpartition("=")
    if not name or not is_numeral(size):
        raise UsageError(f"--dim {text}: write the name and the size of a dimension as NAME=8.")
    return name, int(size)


class Shapes:
    """Looks up shapes and sizes of values.

    Args:
        model: The model; its weights may be left out. It is not changed.
        bound: Sizes of open dimensions by their names.
        graphs: Its graphs, as `walk_graphs` gives them, where they are known.

    Attributes:
        note: Why shapes could not be inferred; None when they could.

    Raises:
        UsageError: The model has no dimension of such a name.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        bound: Mapping[str, int] | None = None,
        graphs: Sequence[LocatedGraph] | None = None,
    ) -> None:
        self.note: str | None = None
        bound = bound or {}
        graphs = list(walk_graphs(model)) if graphs is None else graphs
        _refuse_unknown_names(model, bound)
        self._types = {located.path: _declared_types(located, bound) for located in graphs}
        if bound or self._lacks_sizes(graphs):
            self._infer(model, bound, has_subgraphs=len(graphs) > 1)

    def tensor_type(self, graph: str, name: str) -> TensorType | None:
        """Shape and type of a value, as seen from a graph.

        A subgraph sees the values of the graphs around it, too.
        """
        path: str | None = graph
        while path is not None:
            tensor_type = self._types[path].get(name) if path in self._types else None
            if tensor_type is not None:
                return tensor_type
            path = parent_graph(path)
        return None

    def dims(self, graph: str, name: str) -> tuple[int, ...] | None:
        """The dimensions of a value; None where one of them is unknown."""
        tensor_type = self.tensor_type(graph, name)
        if tensor_type is None or None in tensor_type.dims:
            return None
        return cast("tuple[int, ...]", tensor_type.dims)

    def elements(self, graph: str, name: str) -> int | None:
        """Number of elements of a value; None where it is unknown."""
        dims = self.dims(graph, name)
        return None if dims is None else math.prod(dims)

    def bytes(self, graph: str, name: str) -> int | None:
        """Bytes that a value takes; None where that is unknown."""
        tensor_type = self.tensor_type(graph, name)
        return None if tensor_type is None else _bytes_of(tensor_type)

    def bytes_of_values(self, numbers: Mapping[str, Mapping[str, int]]) -> list[int | None]:
        """Bytes that each of some values takes; None where that is unknown.

        Args:
            numbers: By the path of each graph, the number of each of its values by its name.
        """
        sizes: list[int | None] = [None] * sum(map(len, numbers.values()))
        for path, of_graph in numbers.items():
            types = self._types.get(path, {})
            for name, number in of_graph.items():
                tensor_type = types.get(name)
                sizes[number] = (
                    self.bytes(path, name) if tensor_type is None else _bytes_of(tensor_type)
                )
        return sizes

    def _lacks_sizes(self, graphs: Iterable[LocatedGraph]) -> bool:
        """Whether some output of a node has an unknown size."""
        return any(
            self.elements(located.path, name) is None
            for located in graphs
            for node in located.graph.node
            for name in node.output
            if name
        )

    def _infer(
        self, model: onnx.ModelProto, bound: Mapping[str, int], *, has_subgraphs: bool
    ) -> None:
        """Add what onnx infers to what is declared."""
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        contrib = []
        for node in copy.graph.node:
            node.ClearField("metadata_props")  # often the largest part of the messages
            if may_have_surrogate(node):
                contrib.append(node)
        _bind_dimensions(copy, bound)
        others = {n for node in contrib if node.domain not in DEFAULT_DOMAINS for n in node.output}
        _remove_open_declarations(copy, others)
        if contrib:
            replace_contrib_operators(copy)
        try:
            inferred = onnx.shape_inference.infer_shapes(copy, data_prop=True)
        except ONNX_ERRORS as error:
            self.note = f"shapes could not be inferred ({first_line(error)})"
            return
        main = LocatedGraph(MAIN, inferred.graph, None)
        for located in walk_graphs(inferred) if has_subgraphs else [main]:
            types = self._types.setdefault(located.path, {})
            for name, tensor_type in _declared_types(located, bound).items():
                declared = types.setdefault(name, tensor_type)
                if declared != tensor_type:
                    types[name] = _merge(declared, tensor_type)


@lru_cache(maxsize=4096)  # many values share few types
def _bytes_of(tensor_type: TensorType) -> int | None:
    """Bytes that a value of a type takes; None where that is unknown."""
    if None in tensor_type.dims:
        return None
    elements = math.prod(cast("tuple[int, ...]", tensor_type.dims))
    return tensor_bytes(tensor_type.data_type, elements)


def _merge(declared: TensorType, inferred: TensorType) -> TensorType:
    """The declared type, with its open dimensions as inferred."""
    if len(declared.dims) != len(inferred.dims):
        return declared
    pairs = zip(declared.dims, inferred.dims, strict=True)
    return TensorType(tuple(b if a is None else a for a, b in pairs), declared.data_type)


def _declared_types(located: LocatedGraph, bound: Mapping[str, int]) -> TensorTypes:
    """Types of the initializers of a graph, and what inputs, outputs and value infos declare."""
    graph, types = located.graph, TensorTypes()
    infos: list[onnx.ValueInfoProto] = list(graph.value_info)
    if isinstance(graph, onnx.GraphProto):
        infos += [*graph.input, *graph.output]
        for tensor in graph.initializer:
            types[tensor.name] = TensorType(tuple(tensor.dims), tensor.data_type)
    declared_types: dict[bytes, TensorType | None] = {}
    for info in infos:
        declared = info.type.SerializeToString()  # many values share few types
        if declared not in declared_types:
            declared_types[declared] = _declared_type(info, bound)
        tensor_type = declared_types[declared]
        if tensor_type is not None:
            types[info.name] = tensor_type
    return types


def _declared_type(info: onnx.ValueInfoProto, bound: Mapping[str, int]) -> TensorType | None:
    """The type that a value info declares; None where it is no tensor or has no possible shape."""
    tensor = info.type.tensor_type
    if info.type.WhichOneof("value") != "tensor_type" or not tensor.HasField("shape"):
        return None
    dims = tuple(
        dim.dim_value if dim.HasField("dim_value") else bound.get(dim.dim_param)
        for dim in tensor.shape.dim
    )
    if math.prod(filter(None, dims)) > MOST_ELEMENTS:
        return None
    return TensorType(dims, tensor.elem_type)


def _value_infos(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    graph = model.graph
    return [*graph.input, *graph.output, *graph.value_info]


def _refuse_unknown_names(model: onnx.ModelProto, bound: Mapping[str, int]) -> None:
    names = {
        dim.dim_param
        for info in _value_infos(model)
        for dim in info.type.tensor_type.shape.dim
        if dim.dim_param
    }
    if unknown := sorted(set(bound) - names):
        choices = (
            f"choose from {', '.join(sorted(names))}" if names else "the file leaves none open"
        )
        raise UsageError(f"No dimension is called {unknown[0]}: {choices}.")


def _bind_dimensions(model: onnx.ModelProto, bound: Mapping[str, int]) -> None:
    for info in _value_infos(model):
        if info.type.WhichOneof("value") == "tensor_type":
            for dim in info.type.tensor_type.shape.dim:
                if dim.dim_param in bound:
                    dim.dim_value = bound[dim.dim_param]


def _remove_open_declarations(model: onnx.ModelProto, others: Collection[str]) -> None:
    """Remove value infos with open dimensions, because inference keeps a declared open dimension.

    Args:
        model: The model. It is changed.
        others: Values after operators of other domains: onnx cannot infer what these compute, so
            their declarations stay.
    """
    entries = [
        info.SerializeToString()
        for info in model.graph.value_info
        if info.name in others
        or (tensor_type := _declared_type(info, {})) is None
        or None not in tensor_type.dims
    ]
    del model.graph.value_info[:]
    model.graph.value_info.extend(onnx.ValueInfoProto.FromString(message) for message in entries)
