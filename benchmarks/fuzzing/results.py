"""What a job of the fuzzer is asked to do, and what it finds."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from fuzzing.judging import plain_words


class Finding(msgspec.Struct, frozen=True):
    """A case that ended as none may.

    Attributes:
        case: Number of the case.
        command: The command and its arguments.
        file: Name of the damaged file in the command.
        fault: What was wrong.
    """

    case: str
    command: str
    file: str
    fault: str

    @property
    def kind(self) -> str:
        """Equal for findings of one kind."""
        return plain_words(self.fault)


class Share(NamedTuple):
    """The cases of one job.

    Attributes:
        numbers: Their numbers.
        deadline: When it ends, by `time.monotonic`.
        derive: Whether files that tell something new are damaged further.
        findings: A folder for the files of findings; None to keep none.
        corpus: A folder for the files that tell something new; None to keep none.
    """

    numbers: range
    deadline: float = float("inf")
    derive: bool = False
    findings: Path | None = None
    corpus: Path | None = None


@dataclass
class Tally:
    """What a job did.

    Attributes:
        cases: Number of cases by command.
        seconds: Time by command.
        findings: Cases that ended wrongly.
        kinds: Endings of different kinds.
        lines: Lines of modelexport that were run, where that is known.
    """

    cases: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)
    lines: set[tuple[str, int]] = field(default_factory=set)
