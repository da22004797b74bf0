"""How finely a file stores the numbers of a weight."""

from dataclasses import dataclass

import numpy as np
import onnx

from modelexport.hierarchy.fingerprints import Array
from modelexport.rewriter.matching.evidence.dequantised_weights import ReadByName, dequantise

MANTISSA_BITS: dict[int, int] = {onnx.TensorProto.FLOAT16: 10, onnx.TensorProto.BFLOAT16: 7}
"""Bits after the leading one of numbers that are stored in half precision."""

_SMALLEST_EXPONENT: dict[int, int] = {
    onnx.TensorProto.FLOAT16: -14,
    onnx.TensorProto.BFLOAT16: -126,
}
"""Exponent of the smallest number that is stored with all of these bits."""

_ONES = {bits: sum(1 << place for place in range(0, 8, bits)) for bits in (1, 2, 4, 8)}
"""For numbers of so many bits: the byte in which all of them are 1."""


@dataclass(frozen=True, eq=False)
class WeightNumbers:
    """The numbers of a weight.

    Attributes:
        array: The real numbers.
        step: Distance between numbers that the file can store, for each element or for all; None
            for numbers in single precision or more.
        at_edge: Where the stored number is the smallest or the largest of its type: quantisers
            clip there.
    """

    array: Array
    step: Array | None = None
    at_edge: Array | None = None


def with_step(
    numbers: Array, node: onnx.NodeProto, stored: Array, read: ReadByName
) -> WeightNumbers:
    """Numbers that a node dequantised, with their steps: what it makes of ones, less of zeros."""
    bits = next((a.i for a in node.attribute if a.name == "bits"), 8)
    is_packed = node.op_type != "DequantizeLinear"
    one = _ONES.get(bits, 1) if is_packed else 1
    low, high = (dequantise(node, np.full_like(stored, fill), read) for fill in (0, one))
    if low is None or high is None:
        return WeightNumbers(numbers)
    return WeightNumbers(numbers, np.abs(high - low), None if is_packed else edges(stored))


def edges(stored: Array) -> Array:
    """Where a stored number is the smallest or the largest of all."""
    edges: Array = (stored == stored.min()) | (stored == stored.max())
    return edges


def float_step(stored: Array, data_type: int) -> Array | None:
    """The distance between neighbours in half precision; None for more than that."""
    bits = MANTISSA_BITS.get(data_type)
    if bits is None:
        return None
    _, exponents = np.frexp(np.abs(stored.astype(np.float32)))
    smallest = _SMALLEST_EXPONENT[data_type]
    step: Array = np.exp2(np.maximum(exponents - 1, smallest) - bits).astype(np.float32)
    return step
