"""One process for each model type, forked from one that has the libraries loaded already."""

import os
import resource
import signal
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec

from breadth.row import Row

_BYTES = 1 << 30


def run_apart(row: Row, work: Callable[[Row], None], *, seconds: int, gigabytes: int) -> Row:
    """Do the work on a row in a process of its own.

    Args:
        row: The row to fill.
        work: Fills it.
        seconds: Limit of processor time.
        gigabytes: Limit of memory.

    Returns:
        The row, with what came of it until the process ended.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        _child(row, work, writing, seconds, gigabytes)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        lines = pipe.read().splitlines()
    _, status = os.waitpid(child, 0)
    result = msgspec.json.decode(lines[-1], type=Row) if lines else row
    if status:
        code = os.waitstatus_to_exitcode(status)
        result.reason = f"the process ended with {code} while it was at {result.status}"
    return result


class OutOfTimeError(BaseException):
    """A row took too long; no `except Exception` of the code that is measured may take it."""


def _out_of_time(*_: object) -> None:
    """What the kernel's signal becomes, so that the row tells the stage."""
    raise OutOfTimeError("it took more processor time than it may")


def _child(row: Row, work: Callable[[Row], None], pipe: int, seconds: int, gigabytes: int) -> None:
    """The life of a process that works on one row. It never returns."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_AS, (gigabytes * _BYTES, gigabytes * _BYTES))
    signal.signal(signal.SIGXCPU, _out_of_time)
    try:
        work(row)
    except (Exception, OutOfTimeError) as error:  # noqa: BLE001 - a failure is a row of the table
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        text = " ".join(str(error).split())[:400]
        row.reason = f"{type(error).__name__} at {row.status}: {text} ({place})"
    os.write(pipe, msgspec.json.encode(row) + b"\n")
    os._exit(0)
