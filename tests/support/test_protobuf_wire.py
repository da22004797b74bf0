"""Protobuf's wire format, against protobuf's own encoding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from modelexport.support.protobuf_wire import (
    CutOffError,
    WireError,
    decode_varint,
    encode_field,
    encode_number,
    encode_varint,
    fields,
)

numbers = st.integers(0, 2**63 - 1)


@given(number=numbers, width=st.integers(0, 9))
def test_a_number_comes_back(number: int, width: int) -> None:
    """Numbers are encoded in the shortest form or padded, and read with the offset after them."""
    shortest, encoded = encode_varint(number), encode_varint(number, width)
    assert len(encoded) == max(len(shortest), width)
    assert decode_varint(b"x" + encoded + b"y", 1, len(encoded) + 2) == (number, len(encoded) + 1)


@given(dim=numbers, name=st.text(max_size=300))
def test_fields_are_those_of_protobuf(dim: int, name: str) -> None:
    """Fields are written like protobuf's own, and found where they are."""
    written = encode_number(TensorProto.DIMS_FIELD_NUMBER, dim)
    written += encode_field(TensorProto.NAME_FIELD_NUMBER, name.encode())
    assert TensorProto.FromString(written) == TensorProto(dims=[dim], name=name)
    first, second = fields(written, 0, len(written))
    assert (first.number, second.number) == (1, TensorProto.NAME_FIELD_NUMBER)
    assert decode_varint(written, first.payload, first.end) == (dim, first.end)
    assert written[second.payload : second.end].decode() == name


def test_groups_are_skipped() -> None:
    """A group, which has no length, ends at its own closing tag."""
    start, end = (encode_varint(9 << 3 | kind) for kind in (3, 4))
    inner = encode_varint(8 << 3 | 3) + encode_number(1, 5) + encode_varint(8 << 3 | 4)
    message = start + inner + end + encode_number(2, 7)
    assert [field.number for field in fields(message, 0, len(message))] == [9, 2]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\x0a\x05ab", CutOffError),
        (b"\x08\x80", CutOffError),
        (b"\x08" + b"\xff" * 10 + b"\x01", WireError),
        (b"\x02\x01a", WireError),
        (b"\x0f", WireError),
        (b"\x0b\x14", WireError),
    ],
    ids=["short value", "short number", "long number", "number 0", "wire type 7", "other group"],
)
def test_what_is_no_message_is_refused(data: bytes, error: type[Exception]) -> None:
    """Bytes that are not a message, or cut off, are an error."""
    with pytest.raises(error):
        list(fields(data, 0, len(data)))
