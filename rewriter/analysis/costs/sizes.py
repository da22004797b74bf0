"""How many bytes tensors take."""

import onnx

_PACKED_BITS = {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2}
"""Bits of an element, for the types of which several elements share a byte."""

_BITS = {
    number: _PACKED_BITS.get(name, 8 * onnx.helper.tensor_dtype_to_np_dtype(number).itemsize)
    for name, number in onnx.TensorProto.DataType.items()
    if name not in {"UNDEFINED", "STRING"}
}


def tensor_bytes(data_type: int, elements: int) -> int | None:
    """Bytes of a tensor, half bytes rounded up; None for strings and undefined types.

    Args:
        data_type: One of `onnx.TensorProto.DataType`.
        elements: Number of elements.

    >>> tensor_bytes(onnx.TensorProto.FLOAT16, 6)
    12
    >>> tensor_bytes(onnx.TensorProto.INT4, 3)
    2
    """
    bits = _BITS.get(data_type)
    return None if bits is None else -(-bits * elements // 8)
