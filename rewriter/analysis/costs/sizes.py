"""How many bytes tensors take."""

import onnx

_PACKED = {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2}
"""Types of which several elements share a byte."""

_BITS = {
    number: _PACKED.get(name, 8 * onnx.helper.tensor_dtype_to_np_dtype(number).itemsize)
    for name, number in onnx.TensorProto.DataType.items()
    if name not in {"UNDEFINED", "STRING"}
}


def bytes_of(data_type: int, elements: int) -> int | None:
    """Bytes of so many elements of one of ONNX's types; None for text and what has no type.

    >>> bytes_of(onnx.TensorProto.FLOAT16, 6)
    12
    >>> bytes_of(onnx.TensorProto.INT4, 3)
    2
    """
    bits = _BITS.get(data_type)
    return None if bits is None else -(-bits * elements // 8)
