"""The values of one tensor as a numpy array, from bytes that protobuf did not parse."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from modelexport.errors import OnnxFileError
from modelexport.hierarchy.fingerprints import standard_type

_READABLE = set(onnx.TensorProto.DataType.values()) - {
    onnx.TensorProto.STRING,
    onnx.TensorProto.UNDEFINED,
}
_BELOW_ONE_BYTE = {
    kind
    for name, kind in onnx.TensorProto.DataType.items()
    if name in {"INT4", "UINT4", "FLOAT4E2M1", "INT2", "UINT2", "FLOAT6E2M3", "FLOAT6E3M2"}
}
"""Types of which several elements share a byte."""


def is_readable(tensor: onnx.TensorProto) -> bool:
    """Whether numpy can hold the values."""
    return tensor.data_type in _READABLE


def array_in_tensor(tensor: onnx.TensorProto) -> npt.NDArray[Any]:
    """The values that the tensor itself holds."""
    return standard_type(onnx.numpy_helper.to_array(tensor))


def array_in_bytes(
    tensor: onnx.TensorProto, data: memoryview | bytes, file: object
) -> npt.NDArray[Any]:
    """The values of a tensor that are stored elsewhere.

    Args:
        tensor: Says the type and the shape.
        data: The little-endian values.
        file: The model's file, for the error message.

    Raises:
        OnnxFileError: There is less data than the shape needs.
    """
    if tensor.data_type in _BELOW_ONE_BYTE:
        complete = onnx.TensorProto(data_type=tensor.data_type, dims=tensor.dims)
        complete.raw_data = bytes(data)
        return array_in_tensor(complete)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
    shape = tuple(tensor.dims)
    if len(data) < dtype.itemsize * math.prod(shape):
        raise OnnxFileError(f"{file}: tensor {tensor.name!r} has less data than its shape needs.")
    return standard_type(np.frombuffer(data, dtype, math.prod(shape)).reshape(shape))
