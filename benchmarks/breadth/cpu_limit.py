"""A limit of processor time for a part of the work of a process."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager


class OutOfTimeError(BaseException):
    """A part took too long; no `except Exception` of the code that is measured may take it."""


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """Stop the body after some seconds of processor time. Limits can be nested.

    The timer of the kernel counts the time of all threads. Python acts on it between two
    instructions: a long call into a library ends first.

    Args:
        seconds: The limit.

    Raises:
        OutOfTimeError: The body took longer.
    """
    start = time.process_time()
    handler = signal.signal(signal.SIGPROF, _out_of_time)
    outer, _ = signal.setitimer(signal.ITIMER_PROF, min(seconds, _left(seconds)))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
        if outer:
            left = outer - (time.process_time() - start)
            signal.setitimer(signal.ITIMER_PROF, max(left, 0.01))


def _left(seconds: float) -> float:
    """What an outer limit leaves, in seconds."""
    outer, _ = signal.getitimer(signal.ITIMER_PROF)
    return outer or seconds


def _out_of_time(*_: object) -> None:
    raise OutOfTimeError("it took more processor time than it may")
