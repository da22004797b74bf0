"""What every exporter hands over: a plain graph, its weights, and the scope of each node."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from hierarchy.fingerprint import Array
from hierarchy.graphs import SMALL_TENSOR_BYTES, NodeKey, walk_graphs


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
        weights: Large initializers by graph path and name.
        scopes: Scope of each node that the exporter gave one.
        sources: `file:line` of each node that the exporter knows it of.
        opset: Of the default domain.
        write: Writes the complete file (and external data beside it, when there are any).
        notes: What the user should know (a changed opset, say).
    """

    exporter: str
    graph: onnx.ModelProto
    weights: dict[tuple[str, str], Array]
    scopes: Mapping[NodeKey, Scope]
    sources: Mapping[NodeKey, str]
    opset: int
    write: Callable[[Path], None]
    notes: tuple[str, ...] = ()

    def initializers(self) -> Iterator[tuple[str, str, Array]]:
        """(graph path, name, values) of every dense initializer."""
        for place in walk_graphs(self.graph):
            if isinstance(place.graph, onnx.GraphProto):
                for tensor in place.graph.initializer:
                    found = self.weights.get((place.path, tensor.name))
                    if found is None:
                        found = numpy_helper.to_array(tensor)
                    yield place.path, tensor.name, found


def detach_weights(model: onnx.ModelProto, where: str = "weights") -> dict[tuple[str, str], Array]:
    """Take the bytes of large initializers out of a model, in place.

    Each becomes a reference to external data at `where`, a file that need not exist: a
    runtime gets the arrays themselves.
    """
    weights: dict[tuple[str, str], Array] = {}
    for place in walk_graphs(model):
        if not isinstance(place.graph, onnx.GraphProto):
            continue
        for tensor in place.graph.initializer:
            if len(raw := tensor.raw_data) < SMALL_TENSOR_BYTES:
                continue
            dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
            if np.dtype(dtype).itemsize * int(np.prod(tensor.dims)) != len(raw):
                continue  # packed types stay where they are
            values = np.frombuffer(raw, dtype).reshape(tuple(tensor.dims))
            weights[place.path, tensor.name] = values
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", where), ("offset", "0"), ("length", str(len(raw)))):
                entry = tensor.external_data.add()
                entry.key, entry.value = key, value
    return weights
