"""Protobuf's wire format: where the fields of a message start and end in its bytes.

https://protobuf.dev/programming-guides/encoding: a message is a sequence of fields. A field
is a tag (field number and wire type) and a value; the wire type tells how long the value is.
This module does not know what the fields mean.
"""

import mmap
from collections.abc import Iterator
from typing import NamedTuple

Buffer = bytes | mmap.mmap

VARINT, FIXED64, LENGTH, GROUP, GROUP_END, FIXED32 = range(6)
"""Wire types. LENGTH: the value starts with its length in bytes."""

_FIXED_SIZES = {FIXED64: 8, FIXED32: 4}
_MAX_VARINT_BITS = 64
_ONE_BYTE_VARINTS = [bytes([value]) for value in range(0x80)]
"""The encoded form of each number below 128: nearly all numbers in a file."""


class WireError(ValueError):
    """The bytes are not a protobuf message."""


class CutOffError(WireError):
    """A field reaches beyond the end of the bytes."""


class Field(NamedTuple):
    """The position of one field, as offsets into the buffer.

    Attributes:
        number: The field's number.
        wire_type: How its value is encoded.
        start: Offset of its tag.
        length_at: Offset of the length prefix, if the field has one.
        payload: Offset of the value, after the length prefix.
        end: Offset of the first byte after the value.
    """

    number: int
    wire_type: int
    start: int
    length_at: int
    payload: int
    end: int


def fields(data: Buffer, start: int, end: int) -> Iterator[Field]:
    """Yield the fields of the message in `data[start:end]`.

    Raises:
        WireError: The bytes are not a message.
    """
    offset = start
    while offset < end:
        field = read_field(data, offset, end)
        yield field
        offset = field.end


def submessages(data: Buffer, parent: Field, number: int) -> Iterator[Field]:
    """Yield the length-prefixed fields with one number inside a field that holds a message.

    Raises:
        WireError: The bytes of the parent are not a message.
    """
    offset, end = parent.payload, parent.end
    expected_tag = number << 3 | LENGTH
    while offset < end:
        tag = data[offset]
        if 7 < tag < 0x80 and tag & 7 == LENGTH and offset + 1 < end:
            stop = offset + 2 + data[offset + 1]
            if data[offset + 1] < 0x80 and stop <= end:  # short: no need for `read_field`
                if tag == expected_tag:
                    yield Field(number, LENGTH, offset, offset + 1, offset + 2, stop)
                offset = stop
                continue
        field = read_field(data, offset, end)
        if field.number == number and field.wire_type == LENGTH:
            yield field
        offset = field.end


def decode_varint(data: Buffer, offset: int, end: int) -> tuple[int, int]:
    """Read the number at an offset.

    Returns:
        The number, and the offset of the first byte after it.

    Raises:
        CutOffError: The number does not end before `end`.
        WireError: The number has more than 64 bits.
    """
    value = shift = 0
    while shift < _MAX_VARINT_BITS:
        if offset >= end:
            raise CutOffError(f"a number is cut off at byte {offset}")
        byte = data[offset]
        offset += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, offset
        shift += 7
    raise WireError(f"the number that ends at byte {offset} is too long")


def encode_varint(value: int, width: int = 0) -> bytes:
    """Encode a number, padded to `width` bytes if it needs fewer."""
    if value < len(_ONE_BYTE_VARINTS) and width <= 1:
        return _ONE_BYTE_VARINTS[value]
    if value < 1 << 14 and width <= 2:
        return bytes((value & 0x7F | 0x80, value >> 7))
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    while len(encoded) < width:
        encoded[-1] |= 0x80
        encoded.append(0)
    return bytes(encoded)


def varint_size(value: int) -> int:
    """Number of bytes of a number in its shortest form."""
    return max(1, (value.bit_length() + 6) // 7)


def encode_length_header(number: int, length: int) -> bytes:
    """Encode the tag and the length prefix of a field whose value has `length` bytes."""
    return encode_varint(number << 3 | LENGTH) + encode_varint(length)


def encode_field(number: int, payload: bytes) -> bytes:
    """Encode a field with a length prefix."""
    return encode_length_header(number, len(payload)) + payload


def encode_number(number: int, value: int) -> bytes:
    """Encode a field that holds a number."""
    return encode_varint(number << 3 | VARINT) + encode_varint(value)


def read_field(data: Buffer, start: int, end: int) -> Field:
    """The field whose tag is at an offset.

    Raises:
        WireError: The bytes are no field that ends within the message.
    """
    tag = data[start]
    offset = start + 1
    if tag > 0x7F:
        tag, offset = decode_varint(data, start, end)
    number, wire_type = tag >> 3, tag & 7
    length_at = offset
    if wire_type == LENGTH:
        if offset < end and data[offset] < 0x80:  # the common case, faster than decode_varint
            length, offset = data[offset], offset + 1
        else:
            length, offset = decode_varint(data, offset, end)
        stop = offset + length
    elif wire_type == VARINT:
        _, stop = decode_varint(data, offset, end)
    elif wire_type == GROUP:
        stop = _group_end(data, offset, end, number)
    elif wire_type in _FIXED_SIZES:
        stop = offset + _FIXED_SIZES[wire_type]
    else:
        raise WireError(f"the field at byte {start} has an unknown wire type")
    if not number:
        raise WireError(f"a field at byte {start} has the number 0")
    if stop > end:
        raise CutOffError(
            f"the field at byte {start} ends at byte {stop}, after the end of its message "
            f"at byte {end}"
        )
    return Field(number, wire_type, start, length_at, offset, stop)


def _group_end(data: Buffer, offset: int, end: int, number: int) -> int:
    """Offset of the first byte after the tag that closes a group. Groups can be nested."""
    open_groups = [number]
    while open_groups:
        tag, after_tag = decode_varint(data, offset, end)
        if tag & 7 == GROUP:
            open_groups.append(tag >> 3)
            offset = after_tag
        elif tag & 7 == GROUP_END:
            if open_groups.pop() != tag >> 3:
                raise WireError(f"the group that ends at byte {offset} was never opened")
            offset = after_tag
        else:
            offset = read_field(data, offset, end).end
    return offset
