"""How a batch run goes: bars in a terminal, plain lines in a log; on standard error."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed

if TYPE_CHECKING:
    from modelexport.pipeline.batch import Row, Watcher


@contextmanager
def progress(*, quiet: bool) -> Iterator["Watcher"]:
    """Who shows a run: nobody, bars, or lines."""
    if quiet:
        from modelexport.pipeline.batch import Silent  # noqa: PLC0415 - for this command only

        yield Silent()
    elif sys.stderr.isatty():
        with _Bars() as bars:
            yield bars
    else:
        yield _Lines()


def _line(row: "Row") -> str:
    """A job that has ended, in a line."""
    counts = "" if row.nodes is None else f", {row.tagged} of {row.nodes} nodes tagged"
    why = f": {row.error}" if row.error else ""
    took = "" if row.state == "kept" else f" in {row.seconds:.1f} s"
    return f"{row.job}: {row.state}{took}{counts}{why}"


class _Lines:
    """A line when a job begins a step, and a numbered one when it ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total = self._ended = 0

    def begin(self, total: int, workers: str) -> None:
        self._total = total
        self._say(f"{total} jobs on {workers}")

    def step(self, job: str, step: str) -> None:
        self._say(f"{job}: {step}")

    def end(self, row: "Row") -> None:
        if row.state == "kept":
            self._say(_line(row))
            return
        self._ended += 1
        again = f" (done because: {row.reason})" if row.reason else ""
        self._say(f"[{self._ended}/{self._total}] {_line(row)}{again}")

    def stopping(self) -> None:
        self._say("stopping: the jobs under way are ended")

    def _say(self, text: str) -> None:
        with self._lock:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()


class _Bars:
    """One bar for the run, and a line with a clock for each job under way."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Elapsed())
        self._shown = Progress(*columns, console=Console(stderr=True, emoji=False))
        self._all = self._shown.add_task("all jobs", total=None)
        self._jobs: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._shown.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._shown.stop()

    def begin(self, total: int, workers: str) -> None:
        self._shown.update(self._all, total=total, description=f"all jobs on {escape(workers)}")

    def step(self, job: str, step: str) -> None:
        if job not in self._jobs:
            self._jobs[job] = self._shown.add_task("", total=None)
        self._shown.update(self._jobs[job], description=f"{escape(job)}: {step}")

    def end(self, row: "Row") -> None:
        if row.state != "kept":
            self._shown.advance(self._all)
        if (task := self._jobs.pop(row.job, None)) is not None:
            self._shown.remove_task(task)
        self._shown.console.print(_line(row), style=None if row.state.good else "red", markup=False)

    def stopping(self) -> None:
        self._shown.console.print("stopping: the jobs under way are ended")
