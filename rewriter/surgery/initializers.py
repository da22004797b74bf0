"""Writing the initializers of a graphsurgeon graph."""

from typing import Any

import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.exporters.onnx_exporter import OnnxExporter
from onnx_graphsurgeon.ir.tensor import SparseValues

from modelexport.rewriter.surgery.origins import GraphOrigin, TensorOrigin
from modelexport.rewriter.surgery.tensor_state import (
    has_same_values,
    is_same_constant,
    used_tensors,
)

Ids = frozenset[int]
"""Identities of tensor objects."""


def write_initializers(
    message: onnx.GraphProto, origin: GraphOrigin, in_use: set[int], outer: Ids
) -> Ids:
    """Write the initializers of a graph: the earlier ones in their order, then new ones.

    Args:
        message: The graph to write into.
        origin: Its origin.
        in_use: Identities of the tensors that the graph and its subgraphs use.
        outer: Identities of the tensors of the graphs around it.

    Returns:
        The identities of the tensors that are initializers of this graph.
    """
    written = _write_earlier(message, origin, in_use)
    for tensor in used_tensors(origin.object):
        if isinstance(tensor, gs.Constant) and id(tensor) not in written | outer:
            written.add(id(tensor))
            if isinstance(tensor._values, SparseValues):  # noqa: SLF001 - `values` would load them
                message.sparse_initializer.append(tensor._values.tensor)  # noqa: SLF001
            else:
                message.initializer.append(OnnxExporter.export_tensor_proto(tensor))
    return frozenset(written)


def constant_node(tensor: Any) -> onnx.NodeProto:
    """A Constant node for a weight in a function, which has no initializers."""
    value = OnnxExporter.export_tensor_proto(tensor)
    return onnx.helper.make_node("Constant", [], [tensor.name], value=value)


def _write_earlier(message: onnx.GraphProto, origin: GraphOrigin, in_use: set[int]) -> set[int]:
    """Write the initializers that the graph had, except those that an edit stopped using."""
    assert isinstance(origin.message, onnx.GraphProto)
    written: set[int] = set()
    for weight in origin.message.initializer:
        tensor = origin.tensors.get(weight.name)
        if tensor is None:
            message.initializer.append(weight)
        elif isinstance(tensor.object, gs.Constant) and id(tensor.object) in in_use:
            written.add(id(tensor.object))
            message.initializer.append(_updated(tensor, weight))
    for sparse in origin.message.sparse_initializer:
        tensor = origin.tensors.get(sparse.values.name)
        if tensor is None or id(tensor.object) in in_use:
            message.sparse_initializer.append(sparse)
            written.update(() if tensor is None else (id(tensor.object),))
    return written


def _updated(tensor: TensorOrigin, weight: onnx.TensorProto) -> onnx.TensorProto:
    """An initializer with the name and the values that its tensor has now."""
    if is_same_constant(tensor.object, tensor.state):
        return weight
    updated = onnx.TensorProto()
    if has_same_values(tensor.object, tensor.state):
        updated.CopyFrom(weight)
        updated.name = tensor.object.name
        return updated
    updated.CopyFrom(OnnxExporter.export_tensor_proto(tensor.object))
    updated.metadata_props.extend(weight.metadata_props)
    if weight.HasField("doc_string"):
        updated.doc_string = weight.doc_string
    return updated
