"""Signals that ask a command to end: they end it like Ctrl-C, so that it takes its files away."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_ASKING_TO_END = (signal.SIGTERM, signal.SIGHUP)


class StoppedBySignal(BaseException):
    """A signal asked the process to end.

    Attributes:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class StopRequest:
    """Whether a signal asked the process to end.

    Attributes:
        number: The last signal that did; None before.
    """

    def __init__(self) -> None:
        self.number: int | None = None

    def interrupt(self, number: int, _frame: FrameType | None) -> None:
        """The handler of Ctrl-C.

        Raises:
            KeyboardInterrupt: Always.
        """
        self.number = number
        raise KeyboardInterrupt

    def stop(self, number: int, _frame: FrameType | None) -> None:
        """The handler of the other signals; a second one ends the process at once.

        Raises:
            StoppedBySignal: Always.
        """
        self.number = number
        signal.signal(number, signal.SIG_DFL)
        raise StoppedBySignal(number)


@contextmanager
def signals_as_errors() -> Iterator[StopRequest]:
    """Raise errors in the body for signals that ask the process to end.

    Signals that are ignored (`nohup`) or handled already stay so.

    Yields:
        Whether there was such a signal. Its error may arrive as another one: an import that is
        interrupted raises ImportError.
    """
    request = StopRequest()
    handlers: dict[int, tuple[Any, Any]] = {
        signal.SIGINT: (signal.default_int_handler, request.interrupt),
        **dict.fromkeys(_ASKING_TO_END, (signal.SIG_DFL, request.stop)),
    }
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    unchanged = {n: pair for n, pair in handlers.items() if signal.getsignal(n) is pair[0]}
    for number, (_, handler) in unchanged.items():
        signal.signal(number, handler)
    try:
        yield request
    finally:
        for number, (before, _) in unchanged.items():
            signal.signal(number, before)
