"""Writing a changed skeleton: its references into the file become the bytes they stand for."""

from collections.abc import Callable
from typing import Any, NamedTuple

from onnx import ModelProto, TensorProto

from modelexport.rewriter.container.skeleton import HOLDERS, Stretch
from modelexport.rewriter.container.splicing import Range
from modelexport.rewriter.container.wire import LENGTH, encode_varint, fields

Segment = bytes | bytearray | Range
Borrowed = Callable[[TensorProto], Stretch | None]
"""Where a tensor's values are in the file; None for one that does not refer to it."""

_RAW_DATA = encode_varint(TensorProto.RAW_DATA_FIELD_NUMBER << 3 | LENGTH)
_MARK = b"location"
"""Every reference spells this; a message without it is copied as it stands."""


class _Part(NamedTuple):
    segments: list[Segment]
    length: int


class Embedding:
    """A serialised skeleton with the values of its borrowed tensors put back.

    Args:
        skeleton: The bytes of the changed skeleton.
        borrowed: Finds where a tensor's values are.

    Attributes:
        segments: What to write: new bytes, and ranges of the file.
    """

    def __init__(self, skeleton: bytes, borrowed: Borrowed) -> None:
        self._data = skeleton
        self._borrowed = borrowed
        self.segments = _gathered(self._message(ModelProto, 0, len(skeleton)).segments)

    def _message(self, kind: Any, start: int, end: int) -> _Part:
        inside = HOLDERS[kind]
        made = _Part([], 0)
        verbatim = start
        for field in fields(self._data, start, end):
            held = inside.get(field.number)
            if held is None or field.wire_type != LENGTH:
                continue
            if self._data.find(_MARK, field.payload, field.end) < 0:
                continue
            within = (
                self._tensor(field.payload, field.end)
                if held is TensorProto
                else self._message(held, field.payload, field.end)
            )
            prefix = self._data[verbatim : field.length_at] + encode_varint(within.length)
            made = _joined(made, _Part([prefix, *within.segments], len(prefix) + within.length))
            verbatim = field.end
        rest = self._data[verbatim:end]
        return _joined(made, _Part([rest], len(rest)))

    def _tensor(self, start: int, end: int) -> _Part:
        tensor = TensorProto.FromString(self._data[start:end])
        stretch = self._borrowed(tensor)
        if stretch is None:
            return _Part([self._data[start:end]], end - start)
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
        head = tensor.SerializeToString() + _RAW_DATA + encode_varint(stretch.length)
        values = Range(stretch.offset, stretch.length)
        return _Part([head, values], len(head) + stretch.length)


def _joined(left: _Part, right: _Part) -> _Part:
    left.segments.extend(right.segments)
    return _Part(left.segments, left.length + right.length)


def _gathered(segments: list[Segment]) -> list[Segment]:
    """Neighbouring new bytes in one piece each."""
    made: list[Segment] = []
    for segment in segments:
        if isinstance(segment, Range):
            made.append(segment)
        elif made and isinstance(made[-1], bytearray):
            made[-1] += segment
        else:
            made.append(bytearray(segment))
    return made
