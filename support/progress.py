"""Reporting the current step of long work to a listener that shows it.

Work calls `report_step` when a step begins. A command shows the steps in the terminal. Without a
listener a report costs nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

StepListener = Callable[[str], None]
"""Called with the description of each step."""

_LISTENER: ContextVar[StepListener | None] = ContextVar("listener", default=None)


def report_step(description: str) -> None:
    """Report that a step begins.

    Args:
        description: A few words (`exporting with dynamo`).
    """
    listener = _LISTENER.get()
    if listener is not None:
        listener(description)


@contextmanager
def reporting_steps_to(listener: StepListener) -> Iterator[None]:
    """Report to a listener every step that the body begins in this thread."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)
