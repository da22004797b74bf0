"""Running cases in forked processes that have everything loaded, and knowing which one died.

A job forks one worker after the other. Each runs some hundred cases and writes two lines for each:
one before, one behind. The case whose second line is missing ended the worker.
"""

import faulthandler
import gc
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from fuzzing.cases import Case, CaseId, Seeds, case_name, damage_further, make_case
from fuzzing.commands import COMMANDS
from fuzzing.judging import (
    SECONDS,
    Ending,
    build_commands_once,
    find_fault,
    plain_words,
    run_command,
)
from fuzzing.new_lines import NewLines

MEMORY = 4 << 30
"""Bytes of address space that a worker may take besides what it starts with."""

_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - for folders with random names
_NEW_LINES = NewLines()
_CASES_PER_WORKER = 1000
_DERIVED = 8
"""Number of cases that damage a file further that told something new."""
_DEPTH = 5
"""Number of times that a file is damaged further."""


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


def warm_up(seeds: Seeds, *, watch: bool = False) -> None:
    """Load in this process whatever a command loads, so that workers have it when they start.

    Args:
        seeds: Good files; each command runs on them once.
        watch: Whether cases that run new lines of modelexport are noticed.
    """
    build_commands_once()
    with _folder_of(seeds):
        for command in COMMANDS:
            before = {entry.name for entry in os.scandir()}
            run_command(command, seeds.files.get(command.stdin or "", b""))
            for entry in [e for e in os.scandir() if e.name not in before]:
                shutil.rmtree(entry) if entry.is_dir() else Path(entry).unlink()
    if watch:
        _NEW_LINES.watch()
    gc.collect()
    gc.freeze()


def run_share(share: Share, seeds: Seeds) -> Tally:
    """Run the cases of a job.

    Args:
        share: The cases.
        seeds: Files to damage.
    """
    tally = Tally()
    position = 0
    while position < len(share.numbers) and time.monotonic() < share.deadline:
        part = share.numbers[position : position + _CASES_PER_WORKER]
        position += _run_worker(share._replace(numbers=part), seeds, tally)
    return tally


def _run_worker(share: Share, seeds: Seeds, tally: Tally) -> int:
    """Run cases in a forked process; gives how many of its numbers are done."""
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        os.close(reading)
        _work(share, seeds, tally, writing)
    os.close(writing)
    running: CaseId | None = None
    for line in _lines(reading, process):
        answer = msgspec.json.decode(line)
        if isinstance(answer, list):
            running = tuple(answer)
            continue
        assert running is not None
        _note(answer, running, share, seeds, tally)
        running = None
    _, status = os.waitpid(process, 0)
    if running is None:
        return len(share.numbers)
    case = make_case(running, seeds)
    _keep(case, running, share.findings)
    ended = f"the process died ({_status_words(status)})"
    tally.cases[case.command.name] += 1
    tally.findings.append(Finding(case_name(running), str(case.command), case.file, ended))
    return share.numbers.index(running[0]) + 1


def _lines(reading: int, process: int) -> Iterator[bytes]:
    """The lines of a worker; one that is silent for too long is ended."""
    rest = b""
    with os.fdopen(reading, "rb", buffering=0) as answers:
        while True:
            if not select.select([answers], [], [], 2 * SECONDS + 20)[0]:
                os.kill(process, signal.SIGKILL)
            data = answers.read(1 << 16)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            yield from lines


def _status_words(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit code {os.waitstatus_to_exitcode(status)}"


def _note(answer: dict[str, Any], number: CaseId, share: Share, seeds: Seeds, tally: Tally) -> None:
    """Add the answer of a worker to the tally, and keep the file if it is worth it."""
    tally.cases[answer["command"]] += 1
    tally.seconds[answer["command"]] += answer["seconds"]
    lines = set(map(tuple, answer["lines"])) - tally.lines
    fault, new = answer["fault"], bool(lines) or answer["kind"] not in tally.kinds
    tally.kinds.add(answer["kind"])
    tally.lines |= lines
    if fault is None and not (new and share.corpus is not None):
        return
    case = make_case(number, seeds)
    if fault is not None:
        tally.findings.append(Finding(case_name(number), str(case.command), case.file, fault))
        _keep(case, number, share.findings)
    else:
        _keep(case, number, share.corpus)


def _keep(case: Case, number: CaseId, folder: Path | None) -> None:
    if folder is not None:
        (folder / f"{case_name(number)}.{case.file}").write_bytes(case.data)


def _work(share: Share, seeds: Seeds, tally: Tally, answers: int) -> None:
    """What a worker does. It never returns."""
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit = _address_space() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with _folder_of(seeds):
            for number in _numbers(share, tally, answers, seeds):
                os.write(answers, msgspec.json.encode(number) + b"\n")
    finally:
        sys.stderr.flush()
        os._exit(0)


def _numbers(share: Share, tally: Tally, answers: int, seeds: Seeds) -> Iterator[CaseId]:
    """Run each case behind its number was taken; what tells something new is damaged further."""
    folder = {entry.name: entry.stat() for entry in os.scandir()}
    _NEW_LINES.lines |= tally.lines
    for number in share.numbers:
        waiting: list[tuple[CaseId, Case | None]] = [((number,), None)]
        while waiting:
            if time.monotonic() > share.deadline:
                return
            case_id, earlier = waiting.pop()
            yield case_id
            case = damage_further(earlier, case_id) if earlier else make_case(case_id, seeds)
            ending, fault = _run_case(case, seeds, folder)
            kind, lines = ending.signature(case.command), _NEW_LINES.take()
            answer = {
                "command": case.command.name,
                "seconds": ending.seconds,
                "fault": fault,
                "kind": kind,
                "lines": lines,
            }
            os.write(answers, msgspec.json.encode(answer) + b"\n")
            new = bool(lines) or kind not in tally.kinds
            if share.derive and new and len(case_id) <= _DEPTH:
                waiting += [((*case_id, n), case) for n in range(_DERIVED)]
            tally.kinds.add(kind)


def _run_case(
    case: Case, seeds: Seeds, folder: dict[str, os.stat_result]
) -> tuple[Ending, str | None]:
    """Run a case in the working folder, and clean it up."""
    Path(case.file).unlink()
    Path(case.file).write_bytes(case.data)
    stdin = case.data if case.command.stdin == case.file else b""
    if case.command.stdin not in {None, case.file}:
        stdin = seeds.files[str(case.command.stdin)]
    ending = run_command(case.command, stdin)
    entries = {entry.name: entry for entry in os.scandir()}
    new = entries.keys() - folder.keys()
    fault = find_fault(case.command, ending, set(new))
    missing = folder.keys() - entries.keys()
    if fault is None and missing:
        fault = f"an input was removed: {', '.join(sorted(missing))}"
    for name, status in folder.items():
        if name in entries and name != case.file and _changed(entries[name].stat(), status):
            fault = fault or f"the input {name} was changed"
    for name in new:
        shutil.rmtree(name) if entries[name].is_dir() else Path(name).unlink()
    Path(case.file).unlink(missing_ok=True)
    Path(case.file).write_bytes(seeds.files[case.file])
    folder[case.file] = Path(case.file).stat()
    return ending, fault


def _changed(now: os.stat_result, before: os.stat_result) -> bool:
    return (now.st_mtime_ns, now.st_size, now.st_ino) != (
        before.st_mtime_ns,
        before.st_size,
        before.st_ino,
    )


@contextmanager
def _folder_of(seeds: Seeds) -> Iterator[None]:
    """A working folder with all good files, in memory where the system has such a place."""
    memory = str(_IN_MEMORY) if os.access(_IN_MEMORY, os.W_OK) else None
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="fuzz", dir=memory) as folder:
        for name, data in seeds.files.items():
            Path(folder, name).write_bytes(data)
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
