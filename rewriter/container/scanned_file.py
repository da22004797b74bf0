"""An open file whose small parts are in memory, at the places that they have in the file."""

import mmap
from collections.abc import Iterator
from pathlib import Path

from modelexport.errors import OnnxFileError
from modelexport.rewriter.container.open_file import OpenFile
from modelexport.support.protobuf_wire import GROUP, LENGTH, Buffer, Field, read_field

_WHOLE_BYTES = 1 << 20
"""Maximum size in bytes of a file that is read in one piece."""

MIN_SKIPPED_BYTES = 1 << 16
"""Minimum size in bytes of a weight that stays in the file when the file is scanned."""

_FIRST_BLOCK_BYTES = 1 << 12
_MAX_BLOCK_BYTES = 1 << 20
"""Bytes of the first block after a skipped weight, and of the largest: each block is twice the
last."""

_LONGEST_HEADER = 20
"""Maximum number of bytes of a field's tag and length."""

_SHORT_HEADER = 3
"""Bytes of the tag and length of a field with a small number and less than 16 KB."""


class ScannedFile(OpenFile):
    """A file that is read from its beginning to its end, without its large weights.

    Attributes:
        data: A buffer of the file's size. Bytes that were skipped, or not loaded yet, are zeros.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        super().__init__(path, descriptor)
        self.data: Buffer
        self._loaded = 0
        self._block = _FIRST_BLOCK_BYTES
        if self.size <= _WHOLE_BYTES:
            self.data = self.read(0, self.size).tobytes()
            self._loaded = self.size
        else:
            self.data = self._pages = _empty_pages(path, self.size)

    def fields(self, start: int, end: int, *, min_bytes: int = 0) -> Iterator[Field]:
        """The fields of the message in these bytes, which are loaded as far as they are read.

        Args:
            start: Offset of the first byte.
            end: Offset of the first byte after them.
            min_bytes: Fields with a length prefix may be left out if their values have less bytes.

        Raises:
            WireError: The bytes are not a message.
        """
        data, offset = self.data, start
        while offset < end:
            if offset + _LONGEST_HEADER > self._loaded:
                self.load(offset + _LONGEST_HEADER)
            if min_bytes and offset + _SHORT_HEADER < end:
                stop = _end_of_short_field(data, offset)
                if stop - offset < min_bytes and offset < stop <= end:
                    offset = stop
                    continue
            if data[offset] & 7 == GROUP:
                self.load(end)
            field = read_field(data, offset, end)
            yield field
            offset = field.end

    def load(self, end: int) -> None:
        """Read the bytes up to a place, and some more.

        Raises:
            OnnxFileError: The file has become shorter.
        """
        end = min(end, self.size)
        while self._loaded < end:
            stop = min(max(end, self._loaded + self._block), self.size)
            self._block = min(2 * self._block, _MAX_BLOCK_BYTES)
            self.fill(self._loaded, stop)
            self._loaded = stop

    def skip(self, start: int, end: int) -> None:
        """Leave out some bytes, if they are many; all bytes before them are loaded."""
        if end - start >= MIN_SKIPPED_BYTES and end > self._loaded:
            self.load(start)
            self._loaded = max(self._loaded, end)
            self._block = _FIRST_BLOCK_BYTES

    def fill(self, start: int, end: int) -> None:
        """Read some bytes that `skip` left out.

        Raises:
            OnnxFileError: The file has become shorter.
        """
        if self.size > _WHOLE_BYTES:
            with memoryview(self._pages) as view, view[start:end] as part:
                self.read_into(part, start)


def _end_of_short_field(data: Buffer, offset: int) -> int:
    """Where a field ends that has a length prefix, a small number and less than 16 KB; else 0.

    Nearly all fields of a graph are so. Reading them in full takes three times as long.
    """
    tag, first = data[offset], data[offset + 1]
    if tag > 0x7F or tag < 8 or tag & 7 != LENGTH:
        return 0
    if first < 0x80:
        return offset + 2 + first
    second = data[offset + 2]
    return offset + 3 + (first & 0x7F | second << 7) if second < 0x80 else 0


def _empty_pages(path: Path, size: int) -> mmap.mmap:
    """Memory of some size, which takes no room until it is written to."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
    try:
        pages = mmap.mmap(-1, size, flags=flags)
    except (OSError, MemoryError, OverflowError) as error:
        raise OnnxFileError(f"{path}: there is not enough memory to read it.") from error
    if hasattr(mmap, "MADV_NOHUGEPAGE"):  # else each header between weights would take 2 MB
        pages.madvise(mmap.MADV_NOHUGEPAGE)
    return pages
