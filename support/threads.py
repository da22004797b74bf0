"""Thread settings of the process that are changed for some time, then restored."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from threading import Lock

from threadpoolctl import ThreadpoolController

_SHORT_INTERVAL = 5e-4
"""Seconds after which Python lets another thread run, in `short_switch_interval`."""


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let numpy compute matrix products in one thread while the body runs.

    Our matrix products are many and small. On a busy machine the threads of the BLAS library
    spend most of their time waiting for each other: fingerprinting one file took 40 seconds of
    processor time instead of 3.
    """
    with _threadpool_controller().limit(limits=1, user_api="blas"):
        yield


class _SwitchInterval:
    """Python's switch interval. Several users may need it short at the same time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._original = 0.0

    @contextmanager
    def short(self) -> Iterator[None]:
        with self._lock:
            if not self._users:
                self._original = sys.getswitchinterval()
                if self._original > _SHORT_INTERVAL:
                    sys.setswitchinterval(_SHORT_INTERVAL)
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users and self._original > _SHORT_INTERVAL:
                    sys.setswitchinterval(self._original)


_SWITCH_INTERVAL = _SwitchInterval()


def short_switch_interval() -> AbstractContextManager[None]:
    """Let threads that mostly wait for other libraries run soon while the body runs.

    By default Python lets a thread run for 5 ms before another one gets its turn. Loading and
    running a small file takes no longer than that, and needs three turns. The last of several
    users restores the original interval.
    """
    return _SWITCH_INTERVAL.short()


@cache
def _threadpool_controller() -> ThreadpoolController:
    return ThreadpoolController()
