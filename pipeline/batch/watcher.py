"""Who is told how a run goes."""

from typing import Protocol

from modelexport.pipeline.batch.summary import Row


class Watcher(Protocol):
    """Is told how a run goes. Its methods are called from more than one thread."""

    def begin(self, total: int, workers: str) -> None:
        """The run begins.

        Args:
            total: Number of jobs to do.
            workers: What does them, as text (`2 workers`).
        """

    def step(self, job: str, step: str) -> None:
        """A job begins a step."""

    def end(self, row: Row) -> None:
        """A job has ended, or an earlier run had done it."""

    def stopping(self) -> None:
        """The run was told to stop, and ends the jobs in progress."""


class SilentWatcher:
    """Shows nothing."""

    def begin(self, total: int, workers: str) -> None:
        """Do nothing."""

    def step(self, job: str, step: str) -> None:
        """Do nothing."""

    def end(self, row: Row) -> None:
        """Do nothing."""

    def stopping(self) -> None:
        """Do nothing."""
