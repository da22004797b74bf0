"""The one door to the terminal: whatever is printed while a command runs passes through it.

Plain text goes through `VisibleStream`, which stands in the place of standard output and standard
error. Coloured text goes through `cli.pipe_console`, the only writer that may pass the door
by: it makes texts visible itself, before it adds colours.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from modelexport.errors import FileProblem
from modelexport.support.visible_text import visible_lines


class VisibleStream:
    """A stream of text on which everything is visible but line feeds.

    Args:
        raw: The stream behind it. All but text is its own: `buffer`, `isatty`, `fileno` ...
    """

    def __init__(self, raw: TextIO) -> None:
        self.raw = raw

    def write(self, text: str) -> int:
        """Write a text, with escapes for what a terminal would obey or hide."""
        with _named_errors():
            self.raw.write(visible_lines(text))
        return len(text)

    def flush(self) -> None:
        """Write what was kept back."""
        with _named_errors():
            self.raw.flush()

    def writelines(self, lines: Iterable[str]) -> None:
        """Write some texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


@contextmanager
def _named_errors() -> Iterator[None]:
    """Say which file cannot be written; a pipe without a reader is no error."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise FileProblem(
            f"the standard output cannot be written ({error.strerror or error})."
        ) from error


@contextmanager
def visible_output() -> Iterator[None]:
    """Put the door in the place of standard output and standard error."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", VisibleStream(raw_stream(s))) for s in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def raw_stream(stream: TextIO) -> TextIO:
    """The stream behind the door."""
    return stream.raw if isinstance(stream, VisibleStream) else stream
