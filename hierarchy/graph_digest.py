"""The digest by which a file is recognised as the plain file of a record."""

import hashlib
from collections.abc import Iterator

import onnx

from modelexport.hierarchy.graph_paths import op_type, walk_graphs
from modelexport.hierarchy.keys import TAG_ATTRIBUTE

MIN_WEIGHT_BYTES = 1024
"""Size in bytes from which a tensor counts as a weight, whose content the digest leaves out."""


def graph_digest(model: onnx.ModelProto) -> str:
    """A hash that is equal for two files of the same plain graph.

    It covers every node, input and output, and the name, type and shape of each initializer. It
    does not cover the content of weights, where they are stored, metadata or doc strings. So the
    digest stays the same when a file is annotated, or when its weights become external data.

    Returns:
        SHA-256 as hexadecimal digits.
    """
    hashed = hashlib.sha256()

    def add(*parts: str | bytes) -> None:
        for part in parts:
            data = part if isinstance(part, bytes) else part.encode(errors="surrogatepass")
            hashed.update(b"%d:" % len(data))
            hashed.update(data)

    for opset in sorted(model.opset_import, key=lambda entry: entry.domain):
        add(opset.domain, str(opset.version))
    for path, graph, _ in walk_graphs(model):
        add(path, *_interface(graph))
        for node in graph.node:
            add(node.name, op_type(node), node.overload, *node.input, "->", *node.output)
            for attribute in node.attribute:
                if attribute.name != TAG_ATTRIBUTE:
                    add(attribute.name, *_attribute_identity(attribute))
    return hashed.hexdigest()


def _interface(graph: onnx.GraphProto | onnx.FunctionProto) -> Iterator[str | bytes]:
    """The initializers, inputs and outputs of a graph."""
    if isinstance(graph, onnx.FunctionProto):
        yield from (*graph.input, "->", *graph.output, *graph.attribute)
        return
    for tensor in (*graph.initializer, *(sparse.values for sparse in graph.sparse_initializer)):
        yield tensor.name
        yield _type_and_shape(tensor)
    for value in (*graph.input, *graph.output):
        yield value.name
        yield value.type.SerializeToString(deterministic=True)


def _attribute_identity(attribute: onnx.AttributeProto) -> Iterator[str | bytes]:
    """What identifies an attribute. The content of subgraphs is covered by walking the graphs."""
    tensors = [*([attribute.t] if attribute.HasField("t") else ()), *attribute.tensors]
    if attribute.HasField("sparse_tensor"):
        tensors.append(attribute.sparse_tensor.values)
    if attribute.HasField("g") or attribute.graphs:
        yield str(len(attribute.graphs))
    elif not tensors:
        yield attribute.SerializeToString(deterministic=True)
    for tensor in tensors:
        yield _type_and_shape(tensor)
        if _approximate_bytes(tensor) < MIN_WEIGHT_BYTES:
            yield from (tensor.raw_data, str(list(tensor.float_data)), str(list(tensor.int64_data)))
            yield from (str(list(tensor.int32_data)), str(list(tensor.double_data)))
            yield from (str(list(tensor.uint64_data)), str(list(tensor.string_data)))


def _type_and_shape(tensor: onnx.TensorProto) -> str:
    return f"{tensor.data_type}{list(tensor.dims)}"


def _approximate_bytes(tensor: onnx.TensorProto) -> int:
    """Size in bytes, with 4 bytes for an element of any type but the two commonest of 8 bytes."""
    size = 8 if tensor.data_type in {onnx.TensorProto.INT64, onnx.TensorProto.DOUBLE} else 4
    for extent in tensor.dims:
        size *= extent
    return size
