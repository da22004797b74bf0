"""What quantised weights stand for, as the operators that read them give it back.

Only the two forms in which weights are stored by blocks or channels are known here, both by
their operators' definitions: `DequantizeLinear`, and the block-wise form that contrib operators
read. A weight with one scale for all needs neither: its sketch has the same direction.
"""

from collections.abc import Callable

import numpy as np
import onnx

from modelexport.hierarchy.fingerprints import Array

Fetch = Callable[[str], Array | None]
"""The values of an initializer by its name."""

_DATA, _SCALE, _ZERO = 0, 1, 2
_BLOCK_SCALES, _BLOCK_ZEROS = 2, 3
_BITS_PER_BYTE = 8


def dequantized(node: onnx.NodeProto, packed: Array, fetch: Fetch) -> Array | None:
    """The numbers that a node reads out of a stored weight; None when it does not say.

    Args:
        node: A node that reads the weight.
        packed: The weight as it is stored.
        fetch: Gives the node's other initializers.
    """
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    if {"K", "N", "bits", "block_size"} <= set(attributes):
        return _by_blocks(node, packed, attributes, fetch)
    if node.op_type == "DequantizeLinear":
        return _linear(node, packed, attributes, fetch)
    return None


def _given(node: onnx.NodeProto, position: int, fetch: Fetch) -> Array | None:
    if len(node.input) <= position or not node.input[position]:
        return None
    return fetch(node.input[position])


def _linear(
    node: onnx.NodeProto, stored: Array, attributes: dict[str, int], fetch: Fetch
) -> Array | None:
    scale, zero = _given(node, _SCALE, fetch), _given(node, _ZERO, fetch)
    if scale is None:
        return None
    axis, block = attributes.get("axis", 1), attributes.get("block_size", 0)

    def spread(array: Array) -> Array:
        if block:
            shown = np.repeat(array, block, axis)
            return shown[tuple(slice(extent) for extent in stored.shape)]
        if array.size == 1:
            return array.reshape(())
        shape = [1] * stored.ndim
        shape[axis] = array.size
        return array.reshape(shape)

    try:
        centred = stored.astype(np.float32)
        if zero is not None:
            centred = centred - spread(zero.astype(np.float32))
        return centred * spread(scale.astype(np.float32))
    except (ValueError, IndexError):
        return None  # shapes that do not fit: the operator would refuse them as well


def _by_blocks(
    node: onnx.NodeProto, packed: Array, attributes: dict[str, int], fetch: Fetch
) -> Array | None:
    columns, rows = attributes["K"], attributes["N"]
    bits, block = attributes["bits"], attributes["block_size"]
    scale, zero = _given(node, _BLOCK_SCALES, fetch), _given(node, _BLOCK_ZEROS, fetch)
    blocks = -(-columns // block)
    if scale is None or packed.dtype != np.uint8 or packed.size * _BITS_PER_BYTE < rows * columns:
        return None
    try:
        numbers = _unpacked(packed.reshape(-1), bits)[: rows * blocks * block]
        found = numbers.reshape(rows, blocks, block).astype(np.float32)
        if zero is None:
            found -= float(1 << (bits - 1))
        elif zero.dtype == np.uint8:
            each = _unpacked(zero.reshape(rows, -1).reshape(-1), bits).reshape(rows, -1)
            found -= each[:, :blocks, None]
        else:
            found -= zero.reshape(rows, blocks, 1).astype(np.float32)
        found *= scale.reshape(rows, blocks, 1).astype(np.float32)
    except ValueError:
        return None  # sizes that do not fit: the operator would refuse them as well
    return found.reshape(rows, blocks * block)[:, :columns]


def _unpacked(packed: Array, bits: int) -> Array:
    """Numbers of a few bits out of bytes, the low bits first."""
    if bits == _BITS_PER_BYTE:
        return packed
    shifts = np.arange(0, _BITS_PER_BYTE, bits, dtype=np.uint8)
    return ((packed[:, None] >> shifts) & np.uint8((1 << bits) - 1)).reshape(-1)
