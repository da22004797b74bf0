"""The outcome of a job: its state, its files and what it counted."""

from enum import StrEnum

import msgspec


class State(StrEnum):
    """How a job ended."""

    DONE = "done"
    KEPT = "kept"
    FAULTS = "faults"
    FAILED = "failed"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    STOPPED = "stopped"

    @property
    def good(self) -> bool:
        """Whether the job's files exist and have no faults."""
        return self in {State.DONE, State.KEPT}

    @property
    def complete(self) -> bool:
        """Whether the job did all its steps. The last one may have found faults."""
        return self in {State.DONE, State.FAULTS}


class Counts(msgspec.Struct, frozen=True):
    """Counts of nodes in the file that a job wrote or checked last.

    Attributes:
        nodes: All nodes.
        tagged: Nodes whose module is known.
        unresolved: Nodes whose module is not known.
    """

    nodes: int = 0
    tagged: int = 0
    unresolved: int = 0


class Outcome(msgspec.Struct, frozen=True):
    """What a worker reports about a job that has ended.

    Attributes:
        state: How it ended.
        seconds: How long it took.
        counts: Counts of nodes; None when the job ended before it had a file.
        files: Digests of the files it wrote, by name.
        inputs: Digests of the files it was made from, by path.
        error: What went wrong, in one sentence.
        worker: The process that did it, as `host:pid`.
    """

    state: State
    seconds: float = 0.0
    counts: Counts | None = None
    files: dict[str, str] = {}
    inputs: dict[str, str] = {}
    error: str | None = None
    worker: str = ""
