"""What every exporter hands over: a plain graph, its weights, and the scope of each node."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.graph_paths import MAIN, NodeKey, walk_graphs

NOWHERE = "weights"
"""The file that a graph refers to for weights that are still in memory."""


@dataclass(frozen=True)
class Scope:
    """Where an exporter says that a node comes from.

    Attributes:
        module: Module path.
        call: Which call of that module, from 0.
    """

    module: str
    call: int = 0


@dataclass
class Exported:
    """A plain ONNX graph, not yet on disk.

    Attributes:
        exporter: Name of the exporter.
        graph: The model; the bytes of large initializers are in `weights` instead.
        weights: Large initializers of the main graph by name.
        scopes: Scope of each node that the exporter gave one.
        sources: `file:line` of each node that the exporter knows it of.
        opset: Of the default domain.
        notes: What the user should know (a changed opset, say).
    """

    exporter: str
    graph: onnx.ModelProto
    weights: dict[str, Array]
    scopes: Mapping[NodeKey, Scope]
    sources: Mapping[NodeKey, str]
    opset: int
    notes: tuple[str, ...] = ()

    def initializers(self) -> Iterator[tuple[str, str, Array]]:
        """(graph path, name, values) of every dense initializer."""
        for place in walk_graphs(self.graph):
            if isinstance(place.graph, onnx.GraphProto):
                for tensor in place.graph.initializer:
                    found = self.weights.get(tensor.name) if place.path == MAIN else None
                    if found is None:
                        found = numpy_helper.to_array(tensor)
                    yield place.path, tensor.name, found


def contiguous(array: Array) -> Array:
    """The same numbers, laid out as they are stored; torch turns large arrays round fastest."""
    if array.flags.c_contiguous:
        return array
    if array.dtype.kind in "fi" and array.flags.writeable and min(array.strides) >= 0:
        found: Array = torch.from_numpy(array).contiguous().numpy()
        return found
    return np.ascontiguousarray(array)


def put_back(
    model: onnx.ModelProto, lifted: Mapping[str, tuple[tuple[int, ...], Array]]
) -> dict[str, Array]:
    """Give initializers that were serialised empty their shape again, in place.

    Each becomes a reference to external data in a file that does not exist: a runtime gets
    the arrays themselves.

    Args:
        model: A graph whose large initializers are empty, of the right type.
        lifted: Shape and bytes of each by name.

    Returns:
        The values by name, of those that are still in the graph.
    """
    weights: dict[str, Array] = {}
    for tensor in model.graph.initializer:
        if tensor.name in lifted:
            shape, stored = lifted[tensor.name]
            dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            weights[tensor.name] = stored.view(dtype).reshape(shape)
            tensor.dims[:] = shape
            onnx.external_data_helper.set_external_data(tensor, NOWHERE, 0, stored.nbytes)
    return weights
