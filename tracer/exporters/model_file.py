"""Writing an exported graph to disk, with its weights straight from memory."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx

from modelexport.hierarchy.external_weights import external_weights_path, refuse_existing_weights
from modelexport.hierarchy.fingerprints import Array
from modelexport.support.files import attribute_errors_to
from modelexport.support.protobuf_wire import encode_length_header
from modelexport.tracer.exporters.exported import ExportedGraph

MAX_WEIGHT_BYTES = (1 << 31) - (1 << 24)
"""Maximum size in bytes of weights inside a model: protobuf accepts no message of 2 GiB."""

_PAGE_BYTES = 4096
"""External data starts at multiples of this, in bytes, so that runtimes can map it into memory."""

_RAW_DATA = onnx.TensorProto.RAW_DATA_FIELD_NUMBER
_INITIALIZER = onnx.GraphProto.INITIALIZER_FIELD_NUMBER
_GRAPH = onnx.ModelProto.GRAPH_FIELD_NUMBER


def external_weights_target(exported: ExportedGraph, target: Path) -> Path | None:
    """The separate file of weights if a model is too large for one file; None otherwise.

    Raises:
        FileProblem: The model has weights without values, and there is a file already to which it
            would refer for them.
    """
    if exported.valueless:
        refuse_existing_weights(target)
    if sum(weight.nbytes for weight in exported.weights.values()) <= MAX_WEIGHT_BYTES:
        return None
    return external_weights_path(target)


def write_model(
    exported: ExportedGraph, file: Path, external_file: Path | None, location: str
) -> None:
    """Write the complete model, without a second copy of its weights in memory.

    Weights without values become references to external data that does not exist.

    Args:
        exported: The graph and its weights.
        file: The file to write.
        external_file: The file to write the weights to; None to put them into the model itself.
        location: The name by which the model refers to external data.
    """
    if external_file is None:
        initializers, embedded, end = list(exported.model.graph.initializer), exported.weights, 0
    else:
        initializers, end = _write_external(exported, external_file, location)
        embedded = {}
    if exported.valueless:
        initializers = list(_refer_to_nothing(exported, initializers, location, end))
    with attribute_errors_to(file), file.open("wb") as sink:
        _write_message(sink, exported.model, initializers, embedded)


def _write_message(
    sink: BinaryIO,
    model: onnx.ModelProto,
    initializers: list[onnx.TensorProto],
    weights: Mapping[str, Array],
) -> None:
    """Write the wire format of a model: protobuf's own bytes, with those of weights in between."""
    outer, graph = onnx.ModelProto(), onnx.GraphProto()
    outer.CopyFrom(model)
    outer.ClearField("graph")
    graph.CopyFrom(model.graph)
    graph.ClearField("initializer")
    parts: list[bytes | memoryview] = [graph.SerializeToString()]
    for tensor in initializers:
        parts += _initializer_parts(tensor, weights.get(tensor.name))
    sink.write(outer.SerializeToString())
    sink.write(encode_length_header(_GRAPH, sum(memoryview(part).nbytes for part in parts)))
    sink.writelines(parts)


def _initializer_parts(tensor: onnx.TensorProto, weight: Array | None) -> list[bytes | memoryview]:
    """The bytes of one initializer, with the values of a large one straight from memory."""
    if weight is None:
        message = tensor.SerializeToString()
        return [encode_length_header(_INITIALIZER, len(message)), message]
    values = _memory(weight)
    message = _without_values(tensor).SerializeToString()
    message += encode_length_header(_RAW_DATA, values.nbytes)
    return [encode_length_header(_INITIALIZER, len(message) + values.nbytes), message, values]


def _write_external(
    exported: ExportedGraph, data_file: Path, location: str
) -> tuple[list[onnx.TensorProto], int]:
    """Write the large weights to a file of their own.

    Returns:
        The initializers of the model, of which large ones are references to that file; and the
        file's size in bytes.
    """
    initializers = []
    with attribute_errors_to(data_file), data_file.open("wb") as sink:
        for tensor in exported.model.graph.initializer:
            weight = exported.weights.get(tensor.name)
            if weight is None:
                initializers.append(tensor)
                continue
            sink.seek(-sink.tell() % _PAGE_BYTES, 1)
            initializers.append(_reference(tensor, location, sink.tell(), weight.nbytes))
            sink.write(_memory(weight))
        return initializers, sink.tell()


def _refer_to_nothing(
    exported: ExportedGraph, initializers: list[onnx.TensorProto], location: str, offset: int
) -> Iterator[onnx.TensorProto]:
    """The initializers; those without values refer to places that no file has yet.

    Args:
        exported: Knows which initializers have no values.
        initializers: The initializers of the model.
        location: The external file to refer to.
        offset: Where its content ends, in bytes.
    """
    for tensor in initializers:
        if tensor.name not in exported.valueless:
            yield tensor
            continue
        length = int(next(e.value for e in tensor.external_data if e.key == "length"))
        offset += -offset % _PAGE_BYTES
        yield _reference(tensor, location, offset, length)
        offset += length


def _reference(
    tensor: onnx.TensorProto, location: str, offset: int, length: int
) -> onnx.TensorProto:
    """An initializer whose values are in an external file; offset and length are in bytes."""
    reference = _without_values(tensor)
    reference.raw_data = b""  # onnx makes references only of raw values
    onnx.external_data_helper.set_external_data(reference, location, offset=offset, length=length)
    return reference


def _without_values(tensor: onnx.TensorProto) -> onnx.TensorProto:
    """An initializer without values, not even empty ones, and without a reference."""
    bare = onnx.TensorProto()
    bare.CopyFrom(tensor)
    bare.ClearField("raw_data")
    bare.ClearField("external_data")
    bare.ClearField("data_location")
    return bare


def _memory(values: Array) -> memoryview:
    """The memory of an array, also of types that Python's buffers do not know."""
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data
