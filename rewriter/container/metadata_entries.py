"""The metadata entries in the bytes of a node, with their keys."""

from collections.abc import Iterator
from typing import NamedTuple

from onnx import StringStringEntryProto as Entry

from modelexport.support.protobuf_wire import LENGTH, Buffer, Field, submessages

_KEY_TAG = Entry.KEY_FIELD_NUMBER << 3 | LENGTH
_VALUE_TAG = Entry.VALUE_FIELD_NUMBER << 3 | LENGTH


class KeyedEntry(NamedTuple):
    """A metadata entry.

    Attributes:
        start: Offset of its field's first byte.
        end: Offset of the first byte after it.
        key: Its key; bytes that are not UTF-8 are escaped with backslashes.
    """

    start: int
    end: int
    key: str


class EntryReader:
    """Reads metadata entries. Few keys are different, so each is decoded once.

    Args:
        data: The file.
    """

    def __init__(self, data: Buffer) -> None:
        self._data = data
        self._texts: dict[bytes, str] = {}

    def entries(self, parent: Field, number: int) -> Iterator[KeyedEntry]:
        """The entries in a field that holds a message.

        Args:
            parent: The field.
            number: The number of the message's field of entries.

        Raises:
            WireError: The bytes are not a message.
        """
        for field in submessages(self._data, parent, number):
            yield KeyedEntry(field.start, field.end, self.key(field))

    def key(self, entry: Field) -> str:
        """The key of an entry."""
        key = self._short_key(entry.payload, entry.end)
        if key is None:
            key = b""
            for part in submessages(self._data, entry, Entry.KEY_FIELD_NUMBER):
                key = self._data[part.payload : part.end]
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = key.decode(errors="backslashreplace")
        return text

    def _short_key(self, start: int, end: int) -> bytes | None:
        """The key of an entry of at most 127 bytes: a key and then a value, nothing else.

        Nearly all entries are so. Reading them in full takes three times as long.
        """
        data = self._data
        if not 4 <= end - start < 0x80 or data[start] != _KEY_TAG:
            return None
        value = start + 2 + data[start + 1]
        if value + 2 > end or data[value] != _VALUE_TAG or value + 2 + data[value + 1] != end:
            return None
        return data[start + 2 : value]
