"""Writing an exported graph to disk, its weights straight from memory."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx

from modelexport.hierarchy.fingerprints import Array
from modelexport.support.files import attribute_errors_to
from modelexport.support.protobuf_wire import encode_length_header
from modelexport.tracer.exporters.exported import Exported

LARGEST_FILE = (1 << 31) - (1 << 24)
"""protobuf takes no message of 2 GiB; weights beyond it go to a file of their own."""

_PAGE = 4096
"""Where runtimes can map external data from."""

_RAW_DATA = onnx.TensorProto.RAW_DATA_FIELD_NUMBER
_INITIALIZER = onnx.GraphProto.INITIALIZER_FIELD_NUMBER
_GRAPH = onnx.ModelProto.GRAPH_FIELD_NUMBER


def data_beside(exported: Exported, target: Path) -> Path | None:
    """The file that the weights go to when one file cannot hold them; else None."""
    if sum(weight.nbytes for weight in exported.weights.values()) <= LARGEST_FILE:
        return None
    return target.with_name(target.name + ".data")


def write_exported(exported: Exported, part: Path, data: tuple[Path, str] | None) -> None:
    """Write the complete model, without a second copy of its weights in memory.

    Args:
        exported: The graph and its weights.
        part: The file to write.
        data: The file that the weights are written to and the name by which the model refers
            to it; None to put them into the model itself.
    """
    if data is None:
        initializers, inside = list(exported.graph.graph.initializer), exported.weights
    else:
        initializers, inside = list(_external(exported, *data)), {}
    with attribute_errors_to(part), part.open("wb") as sink:
        _write_model(sink, exported.graph, initializers, inside)


def _write_model(
    sink: BinaryIO,
    model: onnx.ModelProto,
    initializers: list[onnx.TensorProto],
    weights: Mapping[str, Array],
) -> None:
    """Write the wire form: what is small from protobuf, the bytes of weights in between."""
    outside, graph = onnx.ModelProto(), onnx.GraphProto()
    outside.CopyFrom(model)
    outside.ClearField("graph")
    graph.CopyFrom(model.graph)
    graph.ClearField("initializer")
    parts: list[bytes | memoryview] = [graph.SerializeToString()]
    for tensor in initializers:
        values = _bytes(weights[tensor.name]) if tensor.name in weights else None
        message = (_inside(tensor) if values is not None else tensor).SerializeToString()
        if values is not None:
            message += encode_length_header(_RAW_DATA, values.nbytes)
        size = len(message) + (0 if values is None else values.nbytes)
        parts += [
            encode_length_header(_INITIALIZER, size),
            message,
            *([] if values is None else [values]),
        ]
    sink.write(outside.SerializeToString())
    sink.write(encode_length_header(_GRAPH, sum(memoryview(part).nbytes for part in parts)))
    sink.writelines(parts)


def _external(exported: Exported, data: Path, location: str) -> Iterator[onnx.TensorProto]:
    """The initializers of a model, large ones as references to a file that is written now."""
    with attribute_errors_to(data), data.open("wb") as sink:
        for tensor in exported.graph.graph.initializer:
            values = exported.weights.get(tensor.name)
            if values is None:
                yield tensor
                continue
            sink.seek(-sink.tell() % _PAGE, 1)
            reference = _inside(tensor)
            reference.raw_data = b""  # onnx lets only raw values move out
            onnx.external_data_helper.set_external_data(
                reference, location, offset=sink.tell(), length=values.nbytes
            )
            sink.write(_bytes(values))
            yield reference


def _inside(tensor: onnx.TensorProto) -> onnx.TensorProto:
    """An initializer without its reference, and without values, not even empty ones."""
    found = onnx.TensorProto()
    found.CopyFrom(tensor)
    found.ClearField("raw_data")
    found.ClearField("external_data")
    found.ClearField("data_location")
    return found


def _bytes(values: Array) -> memoryview:
    """The memory of an array, also of types that numpy has no letter for."""
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
