"""What every exporter returns: a plain graph, its weights, and the scope of each node."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.graph_paths import MAIN, NodeKey, walk_graphs

IN_MEMORY = "weights"
"""The external data file of weights that are still in memory. There is no such file."""


@dataclass(frozen=True)
class Scope:
    """A call of a module.

    Attributes:
        module: Module path.
        call: Which call of that module, from 0.
    """

    module: str
    call: int = 0


@dataclass(frozen=True)
class ExportSettings:
    """How a model is exported.

    Attributes:
        opset: Opset of the default domain.
        translations: For operators of torch (`torch.ops.lib.name.default`) the onnxscript functions
            that stand for them in ONNX. Only the dynamo exporter uses them.
    """

    opset: int
    translations: Mapping[Callable[..., Any], Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ExportedGraph:
    """A plain ONNX model that is not yet on disk.

    Attributes:
        exporter: Name of the exporter.
        model: The model. Its large initializers refer to `IN_MEMORY`.
        weights: The values of large initializers of the main graph, by name.
        scopes: The scope of each node for which the exporter has one.
        source_lines: `file:line` of each node for which the exporter has it.
        opset: Opset of the default domain.
        notes: What the user should know about the export (a changed opset, for example).
        valueless: Names of the initializers whose values nobody knows: those of a model without
            weights. They refer to `IN_MEMORY` too.
    """

    exporter: str
    model: onnx.ModelProto
    weights: Mapping[str, Array]
    scopes: Mapping[NodeKey, Scope]
    source_lines: Mapping[NodeKey, str]
    opset: int
    notes: tuple[str, ...] = ()
    valueless: frozenset[str] = frozenset()

    def with_notes(
        self, *, before: tuple[str, ...] = (), after: tuple[str, ...] = ()
    ) -> "ExportedGraph":
        """The same graph with more notes, before and after its own."""
        return replace(self, notes=(*before, *self.notes, *after))

    def initializers(self) -> Iterator[tuple[str, str, Array | None]]:
        """Graph path, name and values of every dense initializer; None for unknown values."""
        for path, graph, _ in walk_graphs(self.model):
            if isinstance(graph, onnx.GraphProto):
                for tensor in graph.initializer:
                    yield path, tensor.name, self._values(path, tensor)

    def _values(self, path: str, tensor: onnx.TensorProto) -> Array | None:
        if path == MAIN and tensor.name in self.weights:
            return self.weights[tensor.name]
        if path == MAIN and tensor.name in self.valueless:
            return None
        return numpy_helper.to_array(tensor)


def contiguous(array: Array) -> Array:
    """The same values in C order. torch is the fastest way to reorder large arrays."""
    if array.flags.c_contiguous:
        return array
    if array.dtype.kind in "fi" and array.flags.writeable and min(array.strides) >= 0:
        reordered: Array = torch.from_numpy(array).contiguous().numpy()
        return reordered
    return np.ascontiguousarray(array)


def refer_to_memory(
    model: onnx.ModelProto, lifted: Mapping[str, tuple[tuple[int, ...], Array]]
) -> dict[str, Array]:
    """Make references to `IN_MEMORY` of initializers that were serialised empty.

    A runtime that loads the graph gets the values themselves.

    Args:
        model: A model whose large initializers are empty and have the right type. It is changed.
        lifted: Shape and bytes of each large initializer, by name.

    Returns:
        The values of the large initializers that are still in the graph, by name.
    """
    weights: dict[str, Array] = {}
    for tensor in model.graph.initializer:
        if tensor.name in lifted:
            shape, stored = lifted[tensor.name]
            dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            weights[tensor.name] = stored.view(dtype).reshape(shape)
            tensor.dims[:] = shape
            onnx.external_data_helper.set_external_data(tensor, IN_MEMORY, 0, stored.nbytes)
    return weights
