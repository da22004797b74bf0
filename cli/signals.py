"""Signals that ask a command to end: they end it like Ctrl-C, so that it takes its files away."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ASKING_TO_END = (signal.SIGTERM, signal.SIGHUP)


class StoppedBySignal(BaseException):
    """A signal asked the process to end.

    Attributes:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def signals_as_errors() -> Iterator[None]:
    """Raise `StoppedBySignal` in the body for signals that would end the process at once.

    Signals that are ignored (`nohup`) or handled already stay so. A second signal ends the process
    at once.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = [number for number in _ASKING_TO_END if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _raise)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _raise(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise StoppedBySignal(number)
