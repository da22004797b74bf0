"""Long calls into libraries: they end on a signal, and when they take too much time or memory.

Python handles signals between its own steps. A thread that is inside a library has none, so Ctrl-C
would wait until the library returns. So the library gets a thread of its own, and the calling
thread waits for it in steps.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from time import monotonic
from typing import TypeVar

_Result = TypeVar("_Result")

STEP_SECONDS = 0.25
"""Seconds between two looks at the limits."""
LEAST_AVAILABLE = 1 / 20
"""Share of the machine's memory that a call must leave available."""
FREE_GROWTH = 1 << 30
"""Bytes that a call may take on any machine, however little is left."""


class CallLimitError(Exception):
    """A call took more time or memory than it may; the text says how much."""


def limited_call(
    call: Callable[[], _Result], *, stop: Callable[[], object], seconds: float | None = None
) -> _Result:
    """The result of a call that may take long.

    It is made in a thread of its own. A signal that raises an error in this thread stops it.

    Args:
        call: What to call.
        stop: Asks the call to end soon; called from this thread.
        seconds: Most seconds that it may take; None for no limit.

    Raises:
        CallLimitError: It took more seconds, or more memory than the machine can spare. (Memory is
            known on Linux only, without the limits of containers.)
    """
    end = None if seconds is None else monotonic() + seconds
    resident = _resident_bytes()
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(call)
        try:
            while not wait([future], timeout=STEP_SECONDS).done:
                _check_time(end, seconds)
                _check_memory(resident)
        except BaseException:
            stop()
            raise
    return future.result()


def _check_time(end: float | None, seconds: float | None) -> None:
    """Raise if this time has come, after so many seconds."""
    if end is not None and monotonic() > end:
        raise CallLimitError(f"took more than {seconds:g} s")


def _check_memory(resident: int) -> None:
    """Raise if the process has grown since it had these bytes, and the machine has few left."""
    taken = _resident_bytes() - resident
    if taken > FREE_GROWTH and _available_share() < LEAST_AVAILABLE:
        raise CallLimitError(f"took {taken / 1e9:.1f} GB of memory, and nearly none is left")


def _resident_bytes() -> int:
    """Bytes of memory that this process has; 0 where the system does not tell."""
    statistics = Path("/proc/self/statm")
    if not statistics.exists():
        return 0
    return int(statistics.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _available_share() -> float:
    """Share of the machine's memory that is available; only where `/proc` tells."""
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    kilobytes = {name: int(number) for name, number, *_ in lines}
    return kilobytes["MemAvailable:"] / kilobytes["MemTotal:"]
