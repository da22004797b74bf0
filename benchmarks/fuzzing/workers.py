"""A worker: a forked process that has everything loaded, and runs some hundred cases."""

import faulthandler
import gc
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from fuzzing.cases import Case, CaseId, Seeds, damage_further, make_case
from fuzzing.commands import COMMANDS, Command
from fuzzing.judging import (
    Ending,
    build_commands_once,
    find_fault,
    run_command,
)
from fuzzing.new_lines import NewLines
from fuzzing.results import Share, Tally
from modelexport.rewriter.execution import profiled_run, session

RUN_SECONDS = 5
"""Seconds that onnxruntime may take for one run, in place of the limit that users have."""
MEMORY = 4 << 30
"""Bytes of address space that a worker may take besides what it starts with."""

_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - for folders with random names
_NEW_LINES = NewLines()
_DERIVED = 8
"""Number of cases that damage a file further that told something new."""
_DEPTH = 5
"""Number of times that a file is damaged further."""


def warm_up(seeds: Seeds, *, watch: bool = False) -> dict[Command, Ending]:
    """Load in this process whatever a command loads, so that workers have it when they start.

    Args:
        seeds: Good files; each command runs on them once.
        watch: Whether cases that run new lines of modelexport are noticed.

    Returns:
        How each command ended.
    """
    endings = {}
    build_commands_once()
    with _folder_of(seeds):
        for command in COMMANDS:
            before = {entry.name for entry in os.scandir()}
            endings[command] = run_command(command, seeds.files.get(command.stdin or "", b""))
            for entry in [e for e in os.scandir() if e.name not in before]:
                shutil.rmtree(entry) if entry.is_dir() else Path(entry).unlink()
    if watch:
        _NEW_LINES.watch()
    gc.collect()
    gc.freeze()
    return endings


def work(share: Share, seeds: Seeds, tally: Tally, answers: int) -> None:
    """What a worker does. It never returns.

    Args:
        share: Its cases.
        seeds: Files to damage.
        tally: What is known already: what is new is damaged further.
        answers: Descriptor of the pipe that gets two lines for each case.
    """
    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limit = _address_space() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    session.RUN_SECONDS = profiled_run.RUN_SECONDS = RUN_SECONDS
    try:
        with _folder_of(seeds):
            for number in _numbers(share, tally, answers, seeds):
                os.write(answers, msgspec.json.encode(number) + b"\n")
    except BaseException:  # noqa: BLE001 - a fault of the fuzzer itself
        traceback.print_exc()
        os._exit(70)
    finally:
        sys.stderr.flush()
        os._exit(0)


def _numbers(share: Share, tally: Tally, answers: int, seeds: Seeds) -> Iterator[CaseId]:
    """Run each case after its number was taken; what tells something new is damaged further."""
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
