"""Showing on standard error how a batch run goes: bars in a terminal, lines in a log."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from modelexport.cli.pipe_console import PipeConsole
from modelexport.cli.visible_output import raw_stream
from modelexport.support.visible_text import visible_line

if TYPE_CHECKING:
    from modelexport.pipeline.batch import Row, Watcher

_STOPPING = "stopping: the jobs in progress are ended"


@contextmanager
def batch_progress(*, quiet: bool) -> Iterator["Watcher"]:
    """The watcher that fits: a silent one, bars, or lines."""
    if quiet:
        from modelexport.pipeline.batch import SilentWatcher  # noqa: PLC0415 - for this command only

        yield SilentWatcher()
    elif sys.stderr.isatty():
        with _Bars() as bars:
            yield bars
    else:
        yield _Lines()


def _line(row: "Row") -> str:
    """A job that has ended, in one line."""
    counts = "" if row.nodes is None else f", {row.tagged} of {row.nodes} nodes tagged"
    error = f": {row.error}" if row.error else ""
    seconds = "" if row.state == "kept" else f" in {row.seconds:.1f} s"
    return f"{row.job}: {row.state}{seconds}{counts}{error}"


class _Lines:
    """Prints a line when a job begins a step, and a numbered line when it ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total = self._ended = 0

    def begin(self, total: int, workers: str) -> None:
        self._total = total
        self._print(f"{total} jobs on {workers}")

    def step(self, job: str, step: str) -> None:
        self._print(f"{job}: {step}")

    def end(self, row: "Row") -> None:
        if row.state == "kept":
            self._print(_line(row))
            return
        self._ended += 1
        reason = f" (done because: {row.reason})" if row.reason else ""
        self._print(f"[{self._ended}/{self._total}] {_line(row)}{reason}")

    def stopping(self) -> None:
        self._print(_STOPPING)

    def _print(self, text: str) -> None:
        with self._lock:
            sys.stderr.write(visible_line(text) + "\n")
            sys.stderr.flush()


class _Bars:
    """Shows a bar for the run, and a line with a clock for each job in progress."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=PipeConsole(file=raw_stream(sys.stderr)),
        )
        self._run = self._progress.add_task("all jobs", total=None)
        self._jobs: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, total: int, workers: str) -> None:
        description = f"all jobs on {workers}"
        self._progress.update(self._run, total=total, description=description)

    def step(self, job: str, step: str) -> None:
        if job not in self._jobs:
            self._jobs[job] = self._progress.add_task("", total=None)
        self._progress.update(self._jobs[job], description=f"{job}: {step}")

    def end(self, row: "Row") -> None:
        if row.state != "kept":
            self._progress.advance(self._run)
        if (task := self._jobs.pop(row.job, None)) is not None:
            self._progress.remove_task(task)
        style = None if row.state.good else "red"
        self._progress.console.print(_line(row), style=style)

    def stopping(self) -> None:
        self._progress.console.print(_STOPPING)
