"""The real numbers of quantised weights, as the operators that read the weights compute them.

Two forms store a weight with a scale for each channel or block, and both are known by the
definition of their operators: `DequantizeLinear`, and the block-wise form of contrib operators
(MatMulNBits and others). A weight with a single scale needs neither: a scale does not change the
direction of its sketch.
"""

from collections.abc import Callable

import numpy as np
import onnx

from modelexport.hierarchy.fingerprints import Array

ReadByName = Callable[[str], Array | None]
"""Gives the values of an initializer by its name; None when it is none."""

_LINEAR_SCALE, _LINEAR_ZERO_POINT = 1, 2
"""Inputs of `DequantizeLinear`."""

_BLOCK_SCALES, _BLOCK_ZERO_POINTS = 2, 3
"""Inputs of the block-wise form."""

_BLOCK_ATTRIBUTES = frozenset({"K", "N", "bits", "block_size"})
"""Attributes by which the block-wise form is known: columns, rows, bits a number, block length."""

_BITS_PER_BYTE = 8


def dequantise(node: onnx.NodeProto, stored: Array, read: ReadByName) -> Array | None:
    """The numbers that a node reads out of a stored weight.

    Args:
        node: A node that reads the weight.
        stored: The weight as it is stored.
        read: Reads the node's other initializers.

    Returns:
        The numbers in float32; None where the node takes the weight as it is stored, or where its
        inputs do not fit each other (the operator would refuse them, too).
    """
    own = (attribute for attribute in node.attribute if not attribute.ref_attr_name)
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in own}
    if attributes.keys() >= _BLOCK_ATTRIBUTES:
        return _dequantise_blocks(node, stored, attributes, read)
    if node.op_type == "DequantizeLinear":
        return _dequantise_linear(node, stored, attributes, read)
    return None


def _input(node: onnx.NodeProto, position: int, read: ReadByName) -> Array | None:
    if len(node.input) <= position or not node.input[position]:
        return None
    return read(node.input[position])


def _dequantise_linear(
    node: onnx.NodeProto, stored: Array, attributes: dict[str, int], read: ReadByName
) -> Array | None:
    scale = _input(node, _LINEAR_SCALE, read)
    zero_point = _input(node, _LINEAR_ZERO_POINT, read)
    if scale is None:
        return None
    axis, block = attributes.get("axis", 1), attributes.get("block_size")
    try:
        centred = stored.astype(np.float32)
        if zero_point is not None:
            centred = centred - _spread(zero_point.astype(np.float32), stored.shape, axis, block)
        return centred * _spread(scale.astype(np.float32), stored.shape, axis, block)
    except (ValueError, IndexError):
        return None


def _spread(parameter: Array, shape: tuple[int, ...], axis: int, block: int | None) -> Array:
    """A scale or zero point in a shape that fits the weight's.

    Args:
        parameter: One number, or one for each channel, or one for each block.
        shape: Of the weight.
        axis: Of the channels or blocks.
        block: Elements in one block; None or 0 when there are no blocks.
    """
    if block:
        repeated = np.repeat(parameter, block, axis)
        return repeated[tuple(slice(extent) for extent in shape)]  # the last block may be shorter
    if parameter.size == 1:
        return parameter.ravel()
    extents = [1] * len(shape)
    extents[axis] = parameter.size
    return parameter.reshape(extents)


def _dequantise_blocks(
    node: onnx.NodeProto, stored: Array, attributes: dict[str, int], read: ReadByName
) -> Array | None:
    columns, rows = attributes["K"], attributes["N"]
    bits, block = attributes["bits"], attributes["block_size"]
    scales, zero_points = _input(node, _BLOCK_SCALES, read), _input(node, _BLOCK_ZERO_POINTS, read)
    if scales is None or stored.dtype != np.uint8 or not 0 < bits <= _BITS_PER_BYTE:
        return None
    try:
        blocks = -(-columns // block)
        numbers = _unpack(stored.ravel(), bits)[: rows * blocks * block]
        weight = numbers.reshape(rows, blocks, block).astype(np.float32)
        weight -= _block_zero_points(zero_points, rows, blocks, bits)
        weight *= scales.reshape(rows, blocks, 1)
    except (ArithmeticError, ValueError):
        return None
    return weight.reshape(rows, blocks * block)[:, :columns]


def _block_zero_points(stored: Array | None, rows: int, blocks: int, bits: int) -> Array | int:
    """The zero point of each block, to be subtracted from the block's numbers."""
    if stored is None:
        return 1 << (bits - 1)
    if stored.dtype != np.uint8:
        return stored.reshape(rows, blocks, 1)
    unpacked = _unpack(stored.ravel(), bits).reshape(rows, -1)
    return unpacked[:, :blocks, None]  # each row begins with a byte of its own


def _unpack(packed: Array, bits: int) -> Array:
    """Numbers of a few bits out of bytes, the low bits first."""
    if bits == _BITS_PER_BYTE:
        return packed
    shifts = np.arange(0, _BITS_PER_BYTE, bits, dtype=np.uint8)
    return ((packed[:, None] >> shifts) & np.uint8((1 << bits) - 1)).ravel()
