"""What the commands share for printing: consoles, levels of talk, output formats."""

import sys
from enum import StrEnum

import msgspec
import typer
from rich.console import Console

_WIDE = 10_000
"""Columns when nobody watches: a line in a pipe is never wrapped or cut."""


class Talk(msgspec.Struct):
    """How much to say.

    Attributes:
        verbose: Show tracebacks, and every detail.
        quiet: Print results and errors only.
    """

    verbose: bool = False
    quiet: bool = False


class TextFormat(StrEnum):
    """Formats of a result that is text or data."""

    TEXT = "text"
    JSON = "json"


def talk(context: typer.Context) -> Talk:
    """The levels that the user chose before the command's name."""
    return context.ensure_object(Talk)


class _Console(Console):
    """Leaves a reader that went away to `cli.main`; rich would exit with 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    """Standard output: coloured and fitted to a terminal, plain and unwrapped in a pipe."""
    width = None if sys.stdout.isatty() else _WIDE
    return _Console(width=width, highlight=False, markup=False, emoji=False, soft_wrap=True)


def print_json(result: object) -> None:
    """A result as JSON on standard output."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n")


def complain(message: str) -> None:
    """One line on standard error."""
    sys.stderr.write(f"modelexport: {message}\n")
