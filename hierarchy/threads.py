"""Threads of our own: numpy's linear algebra keeps to one, and they take short turns."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

_TURN = 5e-4
"""Seconds."""


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep the library behind numpy's matrix products from starting threads.

    Our products are many and small. On a busy machine its threads wait for each other by
    spinning: fingerprinting one file took 40 seconds of processor time, not 3.
    """
    with _controller().limit(limits=1, user_api="blas"):
        yield


@contextmanager
def short_turns() -> Iterator[None]:
    """Let a thread that mostly waits for others' code take its turn soon.

    Python hands over after 5 ms: loading and running a small file takes no longer than that, and
    asks for three turns.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, _TURN))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()
