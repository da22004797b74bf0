"""Lines from a channel, where something else is to be watched meanwhile."""

import os
import select

_CHUNK = 1 << 16


class LineReader:
    """Reads whole lines from a file descriptor.

    Attributes:
        channel: The descriptor.
    """

    def __init__(self, channel: int) -> None:
        self.channel = channel
        self._rest = b""

    def read(self) -> tuple[list[bytes], bool]:
        """The lines that have come, and whether these were the last."""
        ended = self._take()
        *lines, self._rest = self._rest.split(b"\n")
        return lines, ended

    def wait(self) -> bytes | None:
        """The next line; None at the end."""
        while b"\n" not in self._rest:
            if self._take():
                return None
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def ended(self) -> bool:
        """Whether nothing will come any more; whatever has come is kept."""
        ready, _, _ = select.select([self.channel], [], [], 0)
        return bool(ready) and self._take()

    def _take(self) -> bool:
        chunk = os.read(self.channel, _CHUNK)
        self._rest += chunk
        return not chunk
