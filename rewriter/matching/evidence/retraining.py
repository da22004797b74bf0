"""Whether a file holds the recorded weights, or those of another training of the model."""

import math

import numpy as np
import onnx

from modelexport.hierarchy.fingerprints import Array, WeightFingerprint, weight_fingerprint
from modelexport.hierarchy.graph_paths import MAIN
from modelexport.hierarchy.record import Record
from modelexport.hierarchy.subgraph_runner import ReadInitializer
from modelexport.rewriter.matching.thresholds import (
    EXACT_WEIGHT,
    MINIMUM_WEIGHT_ELEMENTS,
    SAMPLED_WEIGHTS,
)

FULL_PRECISION_TYPES = frozenset({onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE})
_CODE_TYPES = frozenset(
    {
        *(onnx.TensorProto.INT8, onnx.TensorProto.UINT8),
        *(onnx.TensorProto.INT4, onnx.TensorProto.UINT4),
    }
)
"""Data types of weights whose numbers were not rounded."""

_WHOLE_TYPES = frozenset(
    {
        *(onnx.TensorProto.BOOL, onnx.TensorProto.INT32, onnx.TensorProto.INT64),
        *(onnx.TensorProto.UINT32, onnx.TensorProto.UINT64, onnx.TensorProto.STRING),
    }
)
"""Data types of indices, shapes and flags: they are not weights that were rounded."""

_HALF_PRECISION_UNIT, _BFLOAT16_UNIT = 2.0**-10, 2.0**-7
"""A unit of the last digit, as a share of the number. Rounding changes a number by half a unit, and
its square by a whole one."""

_SMALLEST_HALF_PRECISION = 2.0**-24
"""Half precision stores small numbers as multiples of this: they lose most of their digits."""

_BELOW_BFLOAT16 = np.uint32(0xFFFF)
"""The bits of a number in single precision that bfloat16 does not have."""

_TINY = 1e-30
"""Stands in for a scale of zero, so that nothing is divided by zero."""


def number_distance(array: Array, recorded: WeightFingerprint) -> float | None:
    """How far the numbers of a weight are from the recorded ones, whatever their order.

    Returns:
        Largest difference of extremes and mean powers, each over its scale; None for a weight
        without finite numbers.
    """
    fingerprint = weight_fingerprint(array, sketched=False)
    if fingerprint is None:
        return None
    count = max(1, recorded.count)
    scale = max(math.sqrt(recorded.sums[1] / count), _TINY)
    extreme = max(abs(recorded.least), abs(recorded.greatest), _TINY)
    return max(
        abs(fingerprint.least - recorded.least) / extreme,
        abs(fingerprint.greatest - recorded.greatest) / extreme,
        abs(fingerprint.sums[0] - recorded.sums[0]) / count / scale,
        abs(fingerprint.sums[1] - recorded.sums[1]) / count / scale**2,
    )


def rounds_to(recorded: WeightFingerprint, array: Array) -> bool:
    """Whether a recorded weight holds a single number, and a weight holds the same in fewer bits.

    Such a weight has no direction by which it could be recognised.
    """
    if recorded.least != recorded.greatest:
        return False
    with np.errstate(over="ignore"):  # what half precision cannot hold is infinite there
        stored = np.asarray(recorded.least).astype(array.dtype)
    return bool((array == stored).all())


def greatest_rounding(array: Array, recorded: WeightFingerprint) -> float:
    """How far rounding may have moved the numbers of a weight, over the greatest of them.

    A tool that converts to 16 bits and back leaves numbers with few digits in a type with many. If
    the recorded numbers have as few digits, they cannot have been rounded, so a different weight is
    another weight.

    Args:
        array: A weight in full precision.
        recorded: The recorded weight.

    Returns:
        A unit of the last digit of bfloat16 or half precision, if the weight may have been rounded
        to it; else `EXACT_WEIGHT`.
    """
    numbers = array.astype(np.float32)
    extremes = np.array([recorded.least, recorded.greatest], np.float32)
    roundings = [EXACT_WEIGHT]
    if _fit_bfloat16(numbers) and not _fit_bfloat16(extremes):
        roundings.append(_BFLOAT16_UNIT)
    if _fit_half_precision(numbers) and not _fit_half_precision(extremes):
        greatest = max(float(np.abs(extremes).max()), _TINY)
        roundings += [_HALF_PRECISION_UNIT, 2 * _SMALLEST_HALF_PRECISION / greatest]
    return max(roundings)


def _fit_bfloat16(numbers: Array) -> bool:
    return not (numbers.view(np.uint32) & _BELOW_BFLOAT16).any()


def _fit_half_precision(numbers: Array) -> bool:
    with np.errstate(over="ignore"):
        return bool((numbers.astype(np.float16) == numbers).all())


def is_rounded(tensor: onnx.TensorProto) -> bool:
    """Whether a tensor stores its numbers in fewer than 32 bits."""
    return tensor.data_type not in FULL_PRECISION_TYPES | _WHOLE_TYPES


def is_halved(tensor: onnx.TensorProto) -> bool:
    """Whether a tensor stores real numbers in 16 bits."""
    return tensor.data_type in {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16}


def holds_codes(tensor: onnx.TensorProto) -> bool:
    """Whether a tensor may store real numbers as whole numbers of 8 bits or fewer."""
    return tensor.data_type in _CODE_TYPES


def element_count(tensor: onnx.TensorProto) -> int:
    """Number of elements of a tensor."""
    return math.prod(tensor.dims)


def find_retraining(model: onnx.ModelProto, record: Record, read: ReadInitializer) -> str:
    """Whether a file of the very graph that was traced holds other weights.

    The smallest weights of more than a few elements are compared, which costs next to nothing.

    Args:
        model: The file.
        record: The record; its digest is the file's.
        read: Reads an initializer.

    Returns:
        A note for the user; "" when the weights are the recorded ones.
    """
    recorded = {
        tensor.name: tensor.weight
        for tensor in record.tensors
        if tensor.graph == MAIN and tensor.weight is not None
    }
    weights = [
        tensor
        for tensor in model.graph.initializer
        if tensor.name in recorded
        and tensor.data_type in FULL_PRECISION_TYPES
        and element_count(tensor) >= MINIMUM_WEIGHT_ELEMENTS
    ]
    sample = sorted(weights, key=element_count)[:SAMPLED_WEIGHTS]
    differing = [tensor.name for tensor in sample if _differs(read(tensor), recorded[tensor.name])]
    return describe_retraining(len(differing), len(sample), differing[0]) if differing else ""


def _differs(array: Array | None, recorded: WeightFingerprint) -> bool:
    distance = None if array is None else number_distance(array, recorded)
    if array is None or distance is None or distance <= EXACT_WEIGHT:
        return False
    return distance > greatest_rounding(array, recorded)


def describe_retraining(differing: int, compared: int, example: str) -> str:
    """The note for the user that the weights are not the recorded ones."""
    return (
        f"the weights are not the recorded ones ({differing} of {compared} compared weights "
        f"differ, for example {example}): the model was trained further, or anew"
    )
