"""What the commands share for printing: consoles, levels of talk, progress, output formats."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec
import typer

from modelexport.support.progress import listening

if TYPE_CHECKING:
    from rich.console import Console

_WIDE = 10_000
"""Columns when nobody watches: a line in a pipe is never wrapped or cut."""

_PATIENCE = 1.0
"""Seconds after which a command that is still at work shows what it does."""


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
    """The levels that the user chose, before or behind the command's name."""
    return context.ensure_object(Talk)


def console(*, stderr: bool = False) -> "Console":
    """Standard output: coloured and fitted to a terminal, plain and unwrapped in a pipe.

    Args:
        stderr: Standard error instead, where standard output is taken by data.
    """
    from modelexport.cli.consoles import PipeConsole  # noqa: PLC0415 - rich loads when there is text to print

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _WIDE
    return PipeConsole(
        width=width, highlight=False, markup=False, emoji=False, soft_wrap=True, stderr=stderr
    )


@contextmanager
def progress(context: typer.Context) -> Iterator[None]:
    """Around the work of a command, whose result is printed afterwards.

    Shows on standard error what the body is doing, when it takes a while and somebody watches;
    nothing of it remains. In a pipe, and with `--quiet`, there is nothing to begin with.
    Standard output is the result's: what a user's model prints goes to standard error.
    """
    watched = sys.stderr.isatty() and not talk(context).quiet
    with _shown() if watched else nullcontext(), redirect_stdout(sys.stderr):
        yield


@contextmanager
def _shown() -> Iterator[None]:
    """Show every step, from a second on."""
    from threading import Timer  # noqa: PLC0415 - only here

    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    shown = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=Console(file=sys.stderr, markup=False),  # exporters replace sys.stderr meanwhile
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    task = shown.add_task("working", total=None)
    late = Timer(_PATIENCE, shown.start)
    late.start()
    try:
        with listening(lambda what: shown.update(task, description=what)):
            yield
    finally:
        late.cancel()
        late.join()
        if shown.live.is_started:
            shown.stop()


def print_json(result: object) -> None:
    """A result as JSON on standard output."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n")


def complain(message: str) -> None:
    """One line on standard error."""
    sys.stderr.write(f"modelexport: {message}\n")
