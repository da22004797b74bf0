"""A case: one command, one damaged file. Its number decides everything about it."""

import random
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from fuzzing.commands import COMMANDS, CUMULATIVE_WEIGHTS, Command
from fuzzing.mutations import mutate

CaseId = tuple[int, ...]
"""The number of a case; after it, for a case that damages the file of another one further, the
numbers of these steps."""

KINDS = {
    ".onnx": "onnx",
    ".json": "json",
    **dict.fromkeys((".toml", ".yaml", ".csv", ".xml", ".py", ""), "text"),
}
"""How files are damaged, by suffix; others by their bytes only."""

_KEPT_NAME = re.compile(r"([\d.]+)\.(\D.*)")
_FROM_CORPUS = 0.5
"""Share of the cases that start from a file of the corpus, when it has one."""


@dataclass(frozen=True)
class Seeds:
    """Files from which damaged ones are made.

    Attributes:
        files: The good files, by name.
        corpus: Damaged files that told something new in earlier runs, by the name that they have
            in a command.
    """

    files: dict[str, bytes]
    corpus: dict[str, list[bytes]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, corpus: Path | None = None) -> "Seeds":
        """Read the good files of a folder, and those of the corpus if there is one."""
        kept: dict[str, list[bytes]] = {}
        for file in sorted(corpus.iterdir()) if corpus is not None and corpus.is_dir() else ():
            if match := _KEPT_NAME.fullmatch(file.name):
                kept.setdefault(match[2], []).append(file.read_bytes())
        files = {file.name: file.read_bytes() for file in sorted(folder.iterdir())}
        return cls(files, kept)


class Case(NamedTuple):
    """What is run.

    Attributes:
        command: The command.
        file: Name of the damaged file.
        data: Its content.
    """

    command: Command
    file: str
    data: bytes


def case_name(number: CaseId) -> str:
    """The number of a case as text, which is the name of its file, too."""
    return ".".join(map(str, number))


def make_case(number: CaseId, seeds: Seeds) -> Case:
    """The case of a number, the same at every run with the same corpus."""
    source = random.Random(number[0])  # noqa: S311 - no secret
    (command,) = source.choices(COMMANDS, cum_weights=CUMULATIVE_WEIGHTS)
    file = source.choice([word for word in command.words if word in seeds.files])
    kind = KINDS.get(Path(file).suffix, "bytes")
    data = seeds.files[file]
    if (kept := seeds.corpus.get(file)) and source.random() < _FROM_CORPUS:
        data = source.choice(kept)
    case = Case(command, file, mutate(data, kind, source))
    for steps in range(2, len(number) + 1):
        case = damage_further(case, number[:steps])
    return case


def damage_further(case: Case, number: CaseId) -> Case:
    """The case of a number, from the case that it continues: another command, the same file."""
    source = random.Random(case_name(number))  # noqa: S311 - no secret
    command = source.choice([other for other in COMMANDS if case.file in other.words])
    kind = KINDS.get(Path(case.file).suffix, "bytes")
    return Case(command, case.file, mutate(case.data, kind, source))
