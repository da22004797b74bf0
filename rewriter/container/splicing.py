"""A changed copy of a buffer, described by its differences from the buffer."""

from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import NamedTuple

from modelexport.support.protobuf_wire import Buffer, Field, WireError, encode_varint, varint_size

_MIN_SEPARATE_BYTES = 1 << 16
"""Shorter unchanged ranges are collected in memory: one system call each would be slower."""


class ByteSpan(NamedTuple):
    """A range of bytes in a file, which is copied as it is.

    Attributes:
        start: Offset of the first byte.
        length: Number of bytes.
    """

    start: int
    length: int


Segment = bytes | bytearray | ByteSpan
"""One piece of an output file: new bytes, or a range of the input file."""


class Splice(NamedTuple):
    """One change: at an offset, `removed` bytes are replaced by `inserted`."""

    start: int
    removed: int
    inserted: bytes


class Splices:
    """The changes to one buffer.

    A change inside a message must be made within `inside`, which corrects the message's length
    prefix. Changes at the same offset stay in the order in which they were made, so the
    changes of an inner message must be made before those of the message around it.

    Attributes:
        growth: By how many bytes all changes together make the buffer longer.
    """

    def __init__(self) -> None:
        self._splices: list[Splice] = []
        self.growth = 0

    def insert(self, offset: int, data: bytes) -> None:
        """Insert bytes."""
        self._add(Splice(offset, 0, data))

    def remove(self, start: int, end: int) -> None:
        """Remove bytes."""
        if self._splices and not self._splices[-1].inserted:
            previous, removed, _ = self._splices[-1]
            if previous + removed == start:  # directly after the bytes removed last: one change
                self._splices.pop()
                self.growth += removed
                start = previous
        self._add(Splice(start, end - start, b""))

    def replace(self, start: int, end: int, data: bytes) -> None:
        """Replace bytes."""
        self._add(Splice(start, end - start, data))

    @contextmanager
    def inside(self, field: Field) -> Iterator[None]:
        """Surround all changes inside one field that holds a message.

        Raises:
            WireError: Undoing the changes later could not restore the length prefix.
        """
        growth_before = self.growth
        yield
        self.update_length(field, growth_before)

    def update_length(self, field: Field, growth_before: int) -> None:
        """Correct a message's length prefix after changes inside it.

        The same as `inside`, for callers that need more speed than `with` gives.

        Args:
            field: The field that holds the message.
            growth_before: The growth before the changes.

        Raises:
            WireError: See `inside`.
        """
        if self.growth != growth_before:
            prefix = resized_prefix(field, field.end - field.payload + self.growth - growth_before)
            self.replace(field.length_at, field.payload, prefix)

    def segments(self, data: Buffer) -> Iterator[Segment]:
        """Yield the changed copy: long unchanged ranges as spans, all else as bytes."""
        collected = bytearray()
        offset = 0
        end = Splice(len(data), 0, b"")
        for splice in (*sorted(self._splices, key=itemgetter(0)), end):
            if splice.start - offset < _MIN_SEPARATE_BYTES:
                collected += data[offset : splice.start]
            else:
                if collected:
                    yield collected
                    collected = bytearray()
                yield ByteSpan(offset, splice.start - offset)
            collected += splice.inserted
            offset = splice.start + splice.removed
        if collected:
            yield collected

    def applied(self, data: Buffer) -> bytes:
        """Return the changed copy, made in memory."""
        return b"".join(
            data[part.start : part.start + part.length] if isinstance(part, ByteSpan) else part
            for part in self.segments(data)
        )

    def _add(self, splice: Splice) -> None:
        self._splices.append(splice)
        self.growth += len(splice.inserted) - splice.removed


def resized_prefix(field: Field, length: int) -> bytes:
    """Encode the length prefix of a message whose length has changed.

    A prefix of the shortest form keeps the shortest form. A padded prefix keeps its width and
    stays padded. So undoing the change later gives the original prefix, without knowing it.

    Args:
        field: The field that holds the message.
        length: The new length in bytes.

    Raises:
        WireError: The prefix is padded and too short for the new length.
    """
    width = field.payload - field.length_at
    shortest = encode_varint(length)
    if width == varint_size(field.end - field.payload):
        return shortest
    if len(shortest) >= width:
        raise WireError(
            f"the message at byte {field.start} cannot grow: its padded length prefix has no room"
        )
    return encode_varint(length, width)
