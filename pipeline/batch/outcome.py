"""What becomes of a job."""

from enum import StrEnum

import msgspec

from modelexport.support.error_texts import error_sentence


class State(StrEnum):
    """How a job ended."""

    DONE = "done"
    FULL_PRECISION = "kept"
    FAULTS = "faults"
    FAILED = "failed"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    STOPPED = "stopped"

    @property
    def good(self) -> bool:
        """Whether its files are there and nothing is wrong with them."""
        return self in {State.DONE, State.FULL_PRECISION}

    @property
    def complete(self) -> bool:
        """Whether all steps were done, whatever the last one found."""
        return self in {State.DONE, State.FAULTS}


class Counts(msgspec.Struct):
    """Nodes of the last file that a job wrote or looked at.

    Attributes:
        nodes: All.
        tagged: Those that know their module.
        unresolved: Those that do not.
    """

    nodes: int = 0
    tagged: int = 0
    unresolved: int = 0


class Outcome(msgspec.Struct):
    """What a worker tells of a job.

    Attributes:
        state: How it ended.
        seconds: How long it took.
        counts: Nodes, where it came so far.
        files: Digests of what it wrote, by name.
        inputs: Digests of what it was made from, by path.
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


def sentence(error: BaseException) -> str:
    """An error in one sentence."""
    return error_sentence(error, "its log tells where")
