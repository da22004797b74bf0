"""Every tensor of a model, wherever it stands."""

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto

_NUMBERS_AND_STRINGS = {
    *(AttributeProto.FLOAT, AttributeProto.INT, AttributeProto.STRING),
    *(AttributeProto.FLOATS, AttributeProto.INTS, AttributeProto.STRINGS),
}
"""Types of attributes that hold no tensors."""


class Held(NamedTuple):
    """A tensor, and whether an attribute holds it (else it is an initializer)."""

    tensor: TensorProto
    in_attribute: bool


def all_tensors(model: ModelProto) -> Iterator[Held]:
    """Initializers and attribute tensors of all graphs, functions and training graphs."""
    yield from _in_graph(model.graph)
    for function in model.functions:
        yield from _in_nodes(function.node)
        yield from _in_attributes(function.attribute_proto)
    for training in model.training_info:
        yield from _in_graph(training.initialization)
        yield from _in_graph(training.algorithm)


def _in_graph(graph: GraphProto) -> Iterator[Held]:
    for tensor in (*graph.initializer, *_parts(graph.sparse_initializer)):
        yield Held(tensor, in_attribute=False)
    yield from _in_nodes(graph.node)


def _in_nodes(nodes: Iterable[NodeProto]) -> Iterator[Held]:
    for node in nodes:
        if node.attribute:
            yield from _in_attributes(node.attribute)


def _in_attributes(attributes: Iterable[AttributeProto]) -> Iterator[Held]:
    for attribute in attributes:
        if attribute.type in _NUMBERS_AND_STRINGS:
            continue
        sparse = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
        for tensor in (
            *([attribute.t] if attribute.HasField("t") else ()),
            *attribute.tensors,
            *_parts([*sparse, *attribute.sparse_tensors]),
        ):
            yield Held(tensor, in_attribute=True)
        if attribute.HasField("g"):
            yield from _in_graph(attribute.g)
        for graph in attribute.graphs:
            yield from _in_graph(graph)


def _parts(sparse: Iterable[SparseTensorProto]) -> Iterator[TensorProto]:
    for each in sparse:
        yield each.values
        yield each.indices


def reference(tensor: TensorProto) -> dict[str, str]:
    """The external data entries of a tensor (location, offset, length …).

    A name that is no UTF-8 is read as the file system reads it.
    """
    return {entry.key: os.fsdecode(entry.value) for entry in tensor.external_data}
