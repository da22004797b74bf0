"""Threads of our own: numpy's linear algebra keeps to one, and they take short turns."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from threading import Lock

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


class _Turns:
    """The process's setting, kept while anybody wants short turns."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._wanted = 0
        self._before = 0.0

    @contextmanager
    def short(self) -> Iterator[None]:
        with self._lock:
            if not self._wanted:
                self._before = sys.getswitchinterval()
                if self._before > _TURN:
                    sys.setswitchinterval(_TURN)
            self._wanted += 1
        try:
            yield
        finally:
            with self._lock:
                self._wanted -= 1
                if not self._wanted and self._before > _TURN:
                    sys.setswitchinterval(self._before)


_TURNS = _Turns()


def short_turns() -> AbstractContextManager[None]:
    """Let a thread that mostly waits for others' code take its turn soon.

    Python hands over after 5 ms: loading and running a small file takes no longer than that, and
    asks for three turns. The last of several users to leave restores the setting.
    """
    return _TURNS.short()


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()
