"""One process for each model type, forked from one that has the libraries loaded already."""

import os
import resource
import selectors
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from breadth.cpu_limit import OutOfTimeError, cpu_limit
from breadth.row import Row

_BYTES = 1 << 30
_SPARE_SECONDS = 10
"""Processor time that a process gets beyond its limit, to write its row."""
_WALL_FACTOR = 10
"""A process that takes this many times its processor time hangs."""

Work = Callable[[Row, Callable[[Row], None]], None]
"""Fills a row. It may pass the row on in between, for the case that the process ends early."""


@dataclass(frozen=True)
class Limits:
    """What one process may take.

    Attributes:
        seconds: Processor time.
        gigabytes: Address space, beyond what the libraries take.
    """

    seconds: int
    gigabytes: int


@dataclass
class _Child:
    """A process at work, what it has written, and when it is killed (monotonic seconds)."""

    process: int
    row: Row
    pipe: int
    deadline: float
    written: bytes = b""


def run_all(
    rows: Iterable[Row], work: Work, limits: Limits, *, jobs: int, budget: float
) -> Iterator[Row]:
    """Do the work on rows, each in a process of its own.

    Args:
        rows: The rows to fill.
        work: Fills one.
        limits: Of each process.
        jobs: Number of processes at a time.
        budget: Seconds after which no new process starts.

    Yields:
        Each row when its process has ended, with what came of it until then.
    """
    end = time.monotonic() + budget
    waiting = iter(rows)
    children: dict[int, _Child] = {}
    with selectors.DefaultSelector() as selector:
        while True:
            while len(children) < jobs and time.monotonic() < end:
                if (row := next(waiting, None)) is None:
                    break
                child = _start(row, work, limits)
                children[child.pipe] = child
                selector.register(child.pipe, selectors.EVENT_READ)
            if not children:
                return
            for key, _ in selector.select(timeout=1):
                if not _read(child := children[key.fd]):
                    selector.unregister(child.pipe)
                    yield _finished(children.pop(child.pipe))
            for child in children.values():
                if time.monotonic() > child.deadline:
                    os.kill(child.process, signal.SIGKILL)


def _start(row: Row, work: Work, limits: Limits) -> _Child:
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        os.close(reading)
        _child_main(row, work, writing, limits)
    os.close(writing)
    deadline = time.monotonic() + _WALL_FACTOR * limits.seconds
    return _Child(process, row, reading, deadline)


def _read(child: _Child) -> bool:
    """Take what a process has written; whether it is still at work."""
    chunk = os.read(child.pipe, 1 << 16)
    child.written += chunk
    return bool(chunk)


def _finished(child: _Child) -> Row:
    """The last row that a process has written."""
    os.close(child.pipe)
    _, status = os.waitpid(child.process, 0)
    lines = [line for line in child.written.split(b"\n")[:-1] if line]
    row = msgspec.json.decode(lines[-1], type=Row) if lines else child.row
    if status:
        code = os.waitstatus_to_exitcode(status)
        row.reason = f"the process ended with {code} after {row.status}"
    return row


def _child_main(row: Row, work: Work, pipe: int, limits: Limits) -> None:
    """The life of a process that works on one row. It never returns."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    hard = limits.seconds + _SPARE_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))
    size = _address_space() + limits.gigabytes * _BYTES
    resource.setrlimit(resource.RLIMIT_AS, (size, size))

    def write(row: Row) -> None:
        line = msgspec.json.encode(row) + b"\n"
        while line:
            line = line[os.write(pipe, line) :]

    try:
        with cpu_limit(limits.seconds):
            work(row, write)
    except (Exception, OutOfTimeError) as error:  # noqa: BLE001 - a failure is a row of the table
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        text = " ".join(str(error).split())[:400]
        row.reason = f"{type(error).__name__} after {row.status}: {text} ({place})"
    write(row)
    os._exit(0)


def _address_space() -> int:
    """Bytes of address space that this process has; 0 where the system does not say."""
    statistics = Path("/proc/self/statm")
    if not statistics.exists():
        return 0
    return int(statistics.read_text().split()[0]) * resource.getpagesize()
