"""A changed copy of a buffer, as a list of what differs from it."""

from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import NamedTuple

from modelexport.rewriter.container.wire import Buffer, Field, WireError, encode_varint

_WORTH_A_COPY = 1 << 16
"""Ranges below this are gathered in memory: a system call each would take longer."""


class Splice(NamedTuple):
    """At an offset, so many bytes go and these come."""

    at: int
    removed: int
    inserted: bytes


class Range(NamedTuple):
    """Bytes that stay as they are in the buffer."""

    start: int
    length: int


class Splices:
    """The changes to one buffer.

    Whoever changes something inside a message does so within `inside`, which mends the
    message's length prefix. Changes at one offset keep the order they were made in, so what
    is nested goes first.

    Attributes:
        growth: How many bytes longer all of them make it.
    """

    def __init__(self) -> None:
        self._all: list[Splice] = []
        self.growth = 0

    def insert(self, at: int, data: bytes) -> None:
        """Put bytes in."""
        self._add(Splice(at, 0, data))

    def remove(self, start: int, end: int) -> None:
        """Take bytes out."""
        if self._all and not self._all[-1].inserted:
            at, removed, _ = self._all[-1]
            if at + removed == start:
                self._all.pop()
                self.growth += removed
                start = at
        self._add(Splice(start, end - start, b""))

    def replace(self, start: int, end: int, data: bytes) -> None:
        """Put bytes in the place of others."""
        self._add(Splice(start, end - start, data))

    @contextmanager
    def inside(self, field: Field) -> Iterator[None]:
        """Around all changes inside one field that holds a message.

        Raises:
            WireError: The length prefix could not be restored by taking the changes back.
        """
        before = self.growth
        yield
        self.mend(field, before)

    def mend(self, field: Field, before: int) -> None:
        """Mend a message's length prefix after changes inside it; `inside` without a `with`.

        Args:
            field: The field that holds the message.
            before: The growth before the changes.

        Raises:
            WireError: As `inside`.
        """
        if self.growth != before:
            prefix = resized(field, field.end - field.payload + self.growth - before)
            self.replace(field.length_at, field.payload, prefix)

    def segments(self, data: Buffer) -> Iterator[bytes | bytearray | Range]:
        """The changed copy: new and gathered bytes, and long ranges that are to be copied."""
        gathered = bytearray()
        at = 0
        end = Splice(len(data), 0, b"")
        for splice in (*sorted(self._all, key=itemgetter(0)), end):
            if splice.at - at < _WORTH_A_COPY:
                gathered += data[at : splice.at]
            else:
                if gathered:
                    yield gathered
                    gathered = bytearray()
                yield Range(at, splice.at - at)
            gathered += splice.inserted
            at = splice.at + splice.removed
        if gathered:
            yield gathered

    def applied(self, data: Buffer) -> bytes:
        """The changed copy in memory."""
        return b"".join(
            data[part.start : part.start + part.length] if isinstance(part, Range) else part
            for part in self.segments(data)
        )

    def _add(self, splice: Splice) -> None:
        self._all.append(splice)
        self.growth += len(splice.inserted) - splice.removed


def resized(field: Field, length: int) -> bytes:
    """The length prefix of a message that grew or shrank.

    A shortest prefix stays the shortest, a padded one keeps its width and stays padded: so
    taking the change back later, knowing nothing of the original, gives the original prefix.
    """
    width = field.payload - field.length_at
    shortest = encode_varint(length)
    if width == len(encode_varint(field.end - field.payload)):
        return shortest
    if len(shortest) >= width:
        raise WireError(
            f"the padded length of the message at byte {field.start} leaves no room to grow"
        )
    return encode_varint(length, width)
