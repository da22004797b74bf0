"""Standard streams as commands need them, however the process was started."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

_UNICODE = frozenset({"utf-8", "utf8"})


@contextmanager
def standard_streams() -> Iterator[None]:
    """Give the body three standard streams, however the process was started.

    Python has no object for a stream that was closed (`>&-`). Here it gets a stream that cannot be
    read or written. Standard error is the exception: what is written to it is dropped. Characters
    that the encoding of a stream does not have are written as escapes.
    """
    before = sys.stdin, sys.stdout, sys.stderr
    opened: list[TextIO] = []
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            opened.append(_closed_stream(number))
            setattr(sys, name, opened[-1])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() not in _UNICODE:
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
        for stream in opened:
            with suppress(OSError):
                stream.close()


def _closed_stream(number: int) -> TextIO:
    """A stream in the place of one that was closed.

    It occupies the descriptor. Otherwise the next file that is opened would get it.
    """
    descriptor = os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_WRONLY)
    if descriptor != number:
        os.dup2(descriptor, number)
        os.close(descriptor)
    return os.fdopen(number, "w" if number else "r", encoding="utf-8")
