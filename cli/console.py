"""Writing to standard output and standard error."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from modelexport.cli.visible_output import raw_stream
from modelexport.support.visible_text import visible_json, visible_line

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_WIDTH = 10_000
"""Columns of a pipe: its lines are never wrapped or cut off."""


def console(*, stderr: bool = False) -> "Console":
    """Standard output: coloured and wrapped in a terminal, plain text in a pipe.

    Args:
        stderr: Use standard error instead, when standard output is used for data.
    """
    from modelexport.cli.pipe_console import PipeConsole  # noqa: PLC0415 - loads rich

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_WIDTH
    return PipeConsole(file=raw_stream(stream), width=width, soft_wrap=True)


def print_document(text: str) -> None:
    """Print a text of several lines on standard output."""
    sys.stdout.write(text + "\n")


def print_json(result: object) -> None:
    """Print a result as JSON on standard output."""
    print_json_text(msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n")


def print_json_text(text: str) -> None:
    """Print a text that is JSON on standard output."""
    sys.stdout.write(visible_json(text))


def print_notes(name: str, notes: Iterable[str]) -> None:
    """Print notes as lines on standard error, after what was printed on standard output.

    Args:
        name: What they are about, as a file.
        notes: The notes.
    """
    sys.stdout.flush()  # if it cannot be written, nothing else is said
    for note in notes:
        console(stderr=True).print(f"{name}: note: {note}")


def print_error(message: str) -> None:
    """Print an error as one line on standard error."""
    sys.stderr.write(f"modelexport: {visible_line(message)}\n")
