"""Writing a changed skeleton: its references into the file become the bytes of the file."""

from collections.abc import Callable
from typing import Any, NamedTuple

from onnx import ModelProto, TensorProto

from modelexport.rewriter.container.skeleton_scan import CHILD_MESSAGES
from modelexport.rewriter.container.splicing import ByteSpan, Segment
from modelexport.support.protobuf_wire import LENGTH, encode_length_header, encode_varint, fields

FindSpan = Callable[[TensorProto], ByteSpan | None]
"""Where a tensor's values are in the file; None for a tensor that does not refer to the file."""

_REFERENCE_MARK = b"location"
"""Every reference contains these bytes; a message without them is copied as it is."""


class _Part(NamedTuple):
    """Segments and their total length in bytes."""

    segments: list[Segment]
    length: int


def skeleton_segments(skeleton: bytes, find_span: FindSpan) -> list[Segment]:
    """Replace the references in a serialised skeleton by the values they refer to.

    Args:
        skeleton: The bytes of the changed skeleton.
        find_span: Finds where a tensor's values are in the file.

    Returns:
        What to write: new bytes, and ranges of the file.
    """
    whole = _message_part(skeleton, ModelProto, 0, len(skeleton), find_span)
    return _merge_bytes(whole.segments)


def _message_part(data: bytes, kind: Any, start: int, end: int, find_span: FindSpan) -> _Part:
    children = CHILD_MESSAGES[kind]
    segments: list[Segment] = []
    length = 0
    copied_to = start
    for field in fields(data, start, end):
        child = children.get(field.number)
        if child is None or field.wire_type != LENGTH:
            continue
        if data.find(_REFERENCE_MARK, field.payload, field.end) < 0:
            continue
        part = (
            _tensor_part(data, field.payload, field.end, find_span)
            if child is TensorProto
            else _message_part(data, child, field.payload, field.end, find_span)
        )
        prefix = data[copied_to : field.length_at] + encode_varint(part.length)
        segments += [prefix, *part.segments]
        length += len(prefix) + part.length
        copied_to = field.end
    rest = data[copied_to:end]
    return _Part([*segments, rest], length + len(rest))


def _tensor_part(data: bytes, start: int, end: int, find_span: FindSpan) -> _Part:
    tensor = TensorProto.FromString(data[start:end])
    span = find_span(tensor)
    if span is None:
        return _Part([data[start:end]], end - start)
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")
    head = tensor.SerializeToString()
    head += encode_length_header(TensorProto.RAW_DATA_FIELD_NUMBER, span.length)
    return _Part([head, span], len(head) + span.length)


def _merge_bytes(segments: list[Segment]) -> list[Segment]:
    """Merge neighbouring new bytes into one piece."""
    merged: list[Segment] = []
    for segment in segments:
        if isinstance(segment, ByteSpan):
            merged.append(segment)
        elif merged and isinstance(merged[-1], bytearray):
            merged[-1] += segment
        else:
            merged.append(bytearray(segment))
    return merged
