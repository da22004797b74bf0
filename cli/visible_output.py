"""Standard output and standard error without characters that a terminal obeys or hides.

While a command runs, `VisibleStream` replaces both streams, so that all plain text passes through
it. Only `cli.pipe_console` writes to the streams behind it: it makes texts visible itself, before
it adds colours.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from modelexport.errors import FileProblem
from modelexport.support.visible_text import visible_lines


class VisibleStream:
    """A text stream that escapes all characters that are not visible, except line feeds.

    Args:
        raw: The stream that is wrapped. All other attributes are its own: `buffer`, `isatty`,
            `fileno` …
    """

    def __init__(self, raw: TextIO) -> None:
        self.raw = raw

    def write(self, text: str) -> int:
        """Write a text, with escapes for characters that a terminal would obey or hide."""
        with output_errors():
            self.raw.write(visible_lines(text))
        return len(text)

    def flush(self) -> None:
        """Write buffered text."""
        with output_errors():
            self.raw.flush()

    def writelines(self, lines: Iterable[str]) -> None:
        """Write some texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


@contextmanager
def output_errors() -> Iterator[None]:
    """Turn errors of writing into a sentence, except that of a pipe without a reader."""
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
    """Replace standard output and standard error by visible streams until the body ends."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast("TextIO", VisibleStream(raw_stream(s))) for s in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def raw_stream(stream: TextIO) -> TextIO:
    """The stream behind a visible one; any other stream as it is."""
    return stream.raw if isinstance(stream, VisibleStream) else stream
