"""Constants of the main graph: values that are known without running anything.

A constant is a Constant node, or a small initializer that is not a parameter of the model.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import onnx

from modelexport.hierarchy.keys import TAG_ATTRIBUTE
from modelexport.rewriter.folding.flat_snapshot import OriginalNode, snapshot

_MAX_INTEGERS = 64
"""Most elements of an integer tensor that counts as a constant. Of floats, one element does."""

_INTEGER_TYPES = frozenset(
    {
        *(onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL),
        *(onnx.TensorProto.INT8, onnx.TensorProto.UINT8, onnx.TensorProto.INT16),
    }
)


@dataclass(frozen=True)
class Constant:
    """One constant.

    Attributes:
        node: The Constant node that makes it; of an initializer, one that would make it.
        is_node: Whether it is a node in the graph; if not, it is an initializer.
        content: Bytes that are equal for equal values.
        original: What it was in the flat graph.
    """

    node: onnx.NodeProto
    is_node: bool
    content: bytes
    original: OriginalNode


def is_small(initializer: onnx.TensorProto) -> bool:
    """Whether an initializer that is not a parameter counts as a constant."""
    if initializer.data_location == onnx.TensorProto.EXTERNAL:
        return False
    size = math.prod(initializer.dims)
    return size <= 1 or (initializer.data_type in _INTEGER_TYPES and size <= _MAX_INTEGERS)


def constant_of_initializer(initializer: onnx.TensorProto, position: int) -> Constant:
    """An initializer as a constant.

    Args:
        initializer: The initializer.
        position: Its position among the initializers.
    """
    value = onnx.TensorProto()
    value.CopyFrom(initializer)
    value.ClearField("name")
    attribute = onnx.AttributeProto(name="value", type=onnx.AttributeProto.TENSOR, t=value)
    node = onnx.NodeProto(op_type="Constant", output=[initializer.name], attribute=[attribute])
    original = OriginalNode(-1 - position, None, (initializer.name,))
    return Constant(node, is_node=False, content=_content([attribute]), original=original)


def constant_of_node(node: onnx.NodeProto, position: int) -> Constant:
    """A Constant node as a constant."""
    content = _content([a for a in node.attribute if a.name != TAG_ATTRIBUTE])
    return Constant(node, is_node=True, content=content, original=snapshot(node, position))


def _content(attributes: list[onnx.AttributeProto]) -> bytes:
    """Bytes that are equal for equal values, in whatever form the values are stored."""
    if len(attributes) != 1 or not attributes[0].HasField("t"):
        return _serialised(attributes)
    tensor = attributes[0].t
    if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.data_type == tensor.STRING:
        return _serialised([tensor])
    try:
        values: bytes = onnx.numpy_helper.to_array(tensor).tobytes()
    except (
        TypeError,
        ValueError,
        KeyError,
    ):  # a damaged tensor has no values: it equals its copies only
        return _serialised([tensor])
    return f"{tensor.data_type}{list(tensor.dims)}".encode() + values


def _serialised(messages: Iterable[onnx.AttributeProto | onnx.TensorProto]) -> bytes:
    return b"".join(message.SerializeToString(deterministic=True) for message in messages)
