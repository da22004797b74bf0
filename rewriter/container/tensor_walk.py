"""Every tensor of a model, in initializers and in attributes."""

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto

_TYPES_WITHOUT_TENSORS = {
    *(AttributeProto.FLOAT, AttributeProto.INT, AttributeProto.STRING),
    *(AttributeProto.FLOATS, AttributeProto.INTS, AttributeProto.STRINGS),
}


class LocatedTensor(NamedTuple):
    """A tensor, and whether it is in an attribute (if not, it is an initializer)."""

    tensor: TensorProto
    in_attribute: bool


def walk_tensors(model: ModelProto) -> Iterator[LocatedTensor]:
    """Yield the initializers and attribute tensors of all graphs, functions and training graphs."""
    yield from _in_graph(model.graph)
    for function in model.functions:
        yield from _in_nodes(function.node)
        yield from _in_attributes(function.attribute_proto)
    for training in model.training_info:
        yield from _in_graph(training.initialization)
        yield from _in_graph(training.algorithm)


def _in_graph(graph: GraphProto) -> Iterator[LocatedTensor]:
    for tensor in (*graph.initializer, *_dense_parts(graph.sparse_initializer)):
        yield LocatedTensor(tensor, in_attribute=False)
    yield from _in_nodes(graph.node)


def _in_nodes(nodes: Iterable[NodeProto]) -> Iterator[LocatedTensor]:
    for node in nodes:
        if node.attribute:
            yield from _in_attributes(node.attribute)


def _in_attributes(attributes: Iterable[AttributeProto]) -> Iterator[LocatedTensor]:
    for attribute in attributes:
        if attribute.type in _TYPES_WITHOUT_TENSORS:
            continue
        sparse = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
        for tensor in (
            *([attribute.t] if attribute.HasField("t") else ()),
            *attribute.tensors,
            *_dense_parts([*sparse, *attribute.sparse_tensors]),
        ):
            yield LocatedTensor(tensor, in_attribute=True)
        if attribute.HasField("g"):
            yield from _in_graph(attribute.g)
        for graph in attribute.graphs:
            yield from _in_graph(graph)


def _dense_parts(tensors: Iterable[SparseTensorProto]) -> Iterator[TensorProto]:
    """The dense tensors that a sparse one consists of."""
    for tensor in tensors:
        yield tensor.values
        yield tensor.indices


def external_reference(tensor: TensorProto) -> dict[str, str]:
    """The external data entries of a tensor (`location`, `offset`, `length`, ...).

    A name that is not UTF-8 is read in the same way as the file system reads it.
    """
    return {entry.key: os.fsdecode(entry.value) for entry in tensor.external_data}
