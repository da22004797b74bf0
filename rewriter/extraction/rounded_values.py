"""Values that onnxruntime rounds to their own type, also where it would compute on without that.

Most operators have no float16 kernel on a CPU. onnxruntime computes them in float32, with a Cast
before and one after, and removes such a pair of Casts where two of these nodes follow each other:
the value between them is never rounded. It stays float32 even where the value is an output, too.
A node that reads and gives the same type, and whose result is an output, keeps the pair apart:
onnxruntime runs it as it is.
"""

from collections.abc import Iterable

import onnx
from onnx import TensorProto

from modelexport.hierarchy.subgraphs import expose_values
from modelexport.rewriter.extraction.value_types import ValueInfos

_CAST_TYPES = {
    *(TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE),
    *(TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64),
    *(TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64),
}
"""The types between which onnxruntime removes pairs of Casts."""

_COMPUTED = "modelexport/computed/"
"""Prefix of the name of a value before it is rounded."""


def expose_rounded(graph: onnx.GraphProto, names: Iterable[str], types: ValueInfos) -> None:
    """Make values outputs of a graph; all that read them get them in their own type.

    Args:
        graph: The main graph of a model; it is changed.
        names: The values.
        types: Value infos of those that are rounded.
    """
    names = list(names)
    expose_values(graph, names)
    rounded = {
        name
        for name in names
        if name in types and types[name].type.tensor_type.elem_type in _CAST_TYPES
    }
    for node in list(graph.node):
        for place, name in enumerate(node.output):
            if name in rounded:
                node.output[place] = _COMPUTED + name
                graph.node.add(op_type="Identity", input=[_COMPUTED + name], output=[name])
