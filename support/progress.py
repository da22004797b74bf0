"""Telling whoever is interested what is being done right now.

Work that may take a while calls `step` with what it begins; a command shows it in a terminal.
Where nobody listens it costs nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Tell = Callable[[str], None]

_LISTENER: ContextVar[Tell | None] = ContextVar("listener", default=None)


def step(what: str) -> None:
    """Say what begins now, in a few words (`exporting with dynamo`)."""
    tell = _LISTENER.get()
    if tell is not None:
        tell(what)


@contextmanager
def listening(tell: Tell) -> Iterator[None]:
    """Hear of every step that the body takes in this thread."""
    before = _LISTENER.set(tell)
    try:
        yield
    finally:
        _LISTENER.reset(before)
