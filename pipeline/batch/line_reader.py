"""Reading whole lines from a file descriptor, without waiting for more than is there."""

import os
import select

_CHUNK = 1 << 16
"""Bytes read at once."""


class LineReader:
    """Reads whole lines from a file descriptor.

    Attributes:
        channel: The descriptor.
    """

    def __init__(self, channel: int) -> None:
        self.channel = channel
        self._buffer = b""

    def read(self) -> tuple[list[bytes], bool]:
        """Read once.

        Returns:
            The complete lines that have arrived, and whether the channel has ended.
        """
        ended = self._fill()
        *lines, self._buffer = self._buffer.split(b"\n")
        return lines, ended

    def wait(self) -> bytes | None:
        """Wait for the next line; None when the channel has ended."""
        while b"\n" not in self._buffer:
            if self._fill():
                return None
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def ended(self) -> bool:
        """Whether the channel has ended. Does not wait, and keeps what has arrived."""
        ready, _, _ = select.select([self.channel], [], [], 0)
        return bool(ready) and self._fill()

    def _fill(self) -> bool:
        """Read a chunk into the buffer; true at the end of the channel."""
        chunk = os.read(self.channel, _CHUNK)
        self._buffer += chunk
        return not chunk
