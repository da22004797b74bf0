"""A job: it forks one worker after the other, and knows which case one of them died of.

A worker runs some hundred cases and writes two lines for each: one before, one after. The case
whose second line is missing ended the worker.
"""

import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from fuzzing.cases import Case, CaseId, Seeds, case_name, make_case
from fuzzing.judging import SECONDS
from fuzzing.results import Finding, Share, Tally
from fuzzing.workers import work

_CASES_PER_WORKER = 1000


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
        work(share, seeds, tally, writing)
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
