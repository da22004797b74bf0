"""Protobuf's wire format, as far as a splice needs it.

https://protobuf.dev/programming-guides/encoding: a message is a row of fields; a field is
a tag (number and wire type) and a value, whose extent the wire type tells. Nothing here
knows ONNX.
"""

import mmap
from collections.abc import Iterator
from typing import NamedTuple

Buffer = bytes | mmap.mmap

VARINT, FIXED64, LENGTH, GROUP, GROUP_END, FIXED32 = range(6)
_FIXED = {FIXED64: 8, FIXED32: 4}
_MOST_BITS = 64
_SHORT = [bytes([value]) for value in range(0x80)]
"""Numbers that take one byte: nearly all of them."""


class WireError(ValueError):
    """The bytes are no protobuf message."""


class CutOffError(WireError):
    """A field reaches beyond the end of the bytes that there are."""


class Field(NamedTuple):
    """Where one field stands, as offsets into the buffer.

    Attributes:
        number: The field's number.
        wire_type: How its value is encoded.
        start: Its tag.
        length_at: The length prefix, where it has one.
        payload: The value, behind the length prefix.
        end: Just behind the value.
    """

    number: int
    wire_type: int
    start: int
    length_at: int
    payload: int
    end: int


def fields(data: Buffer, start: int, end: int) -> Iterator[Field]:
    """The fields of the message that fills `data[start:end]`.

    Raises:
        WireError: It is no message.
    """
    at = start
    while at < end:
        field = _field(data, at, end)
        yield field
        at = field.end


def messages(data: Buffer, within: Field, number: int) -> Iterator[Field]:
    """The fields of one number, of a field that holds a message."""
    at, end = within.payload, within.end
    wanted = number << 3 | LENGTH
    while at < end:
        tag = data[at]
        if 7 < tag < 0x80 and tag & 7 == LENGTH and tag != wanted and at + 1 < end:
            length = data[at + 1]
            if length < 0x80 and at + 2 + length <= end:
                at += 2 + length  # the common short field is stepped over without ado
                continue
        field = _field(data, at, end)
        if field.number == number and field.wire_type == LENGTH:
            yield field
        at = field.end


def varint(data: Buffer, at: int, end: int) -> tuple[int, int]:
    """The number that stands at an offset, and the offset behind it."""
    value = shift = 0
    while shift < _MOST_BITS:
        if at >= end:
            raise CutOffError(f"a number is cut off at byte {at}")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise WireError(f"there is no number at byte {at}")


def encode_varint(value: int, width: int = 0) -> bytes:
    """A number, padded to `width` bytes where it needs fewer."""
    if value < len(_SHORT) and width <= 1:
        return _SHORT[value]
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    while len(encoded) < width:
        encoded[-1] |= 0x80
        encoded.append(0)
    return bytes(encoded)


def encode_field(number: int, payload: bytes) -> bytes:
    """A field with a length prefix."""
    return encode_varint(number << 3 | LENGTH) + encode_varint(len(payload)) + payload


def encode_number(number: int, value: int) -> bytes:
    """A field that holds a number."""
    return encode_varint(number << 3 | VARINT) + encode_varint(value)


def _field(data: Buffer, start: int, end: int) -> Field:
    tag = data[start]
    at = start + 1
    if tag > 0x7F:
        tag, at = varint(data, start, end)
    number, wire_type = tag >> 3, tag & 7
    length_at = at
    if wire_type == LENGTH:
        if at < end and data[at] < 0x80:  # varint would do; this is the common case, faster
            length, at = data[at], at + 1
        else:
            length, at = varint(data, at, end)
        stop = at + length
    elif wire_type == VARINT:
        _, stop = varint(data, at, end)
    elif wire_type == GROUP:
        stop = _group_end(data, at, end, number)
    elif wire_type in _FIXED:
        stop = at + _FIXED[wire_type]
    else:
        raise WireError(f"there is no field at byte {start}")
    if not number:
        raise WireError(f"a field at byte {start} has the number 0")
    if stop > end:
        raise CutOffError(f"the field at byte {start} should end at {stop}, but {end} is the end")
    return Field(number, wire_type, start, length_at, at, stop)


def _group_end(data: Buffer, at: int, end: int, number: int) -> int:
    """The offset behind the tag that closes a group; groups nest, without lengths."""
    opened = [number]
    while opened:
        tag, behind = varint(data, at, end)
        if tag & 7 == GROUP:
            opened.append(tag >> 3)
            at = behind
        elif tag & 7 == GROUP_END:
            if opened.pop() != tag >> 3:
                raise WireError(f"the group that ends at byte {at} was never opened")
            at = behind
        else:
            at = _field(data, at, end).end
    return at
