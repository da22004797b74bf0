"""Showing the current step of a command that takes long."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout

import typer

from modelexport.cli.verbosity import verbosity
from modelexport.cli.visible_output import raw_stream
from modelexport.support.progress import reporting_steps_to

_DELAY_SECONDS = 1.0
"""Seconds after which progress is shown. Most commands are done before."""


@contextmanager
def step_progress(context: typer.Context) -> Iterator[None]:
    """Show the current step of the body on standard error while it runs.

    Nothing is shown in a pipe, with `--quiet`, or when the body ends at once; and nothing remains
    afterwards. Standard output is for the command's result only: what a user's model prints goes
    to standard error.
    """
    watched = sys.stderr.isatty() and not verbosity(context).quiet
    with _spinner() if watched else nullcontext(), redirect_stdout(sys.stderr):
        yield


@contextmanager
def _spinner() -> Iterator[None]:
    """Show every step of the body."""
    from threading import Timer  # noqa: PLC0415 - only in a terminal

    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    from modelexport.cli.pipe_console import PipeConsole  # noqa: PLC0415

    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=PipeConsole(file=raw_stream(sys.stderr)),  # exporters replace sys.stderr meanwhile
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    task = progress.add_task("working", total=None)
    timer = Timer(_DELAY_SECONDS, progress.start)
    timer.start()
    try:
        with reporting_steps_to(lambda step: progress.update(task, description=step)):
            yield
    finally:
        timer.cancel()
        timer.join()
        if progress.live.is_started:
            progress.stop()
