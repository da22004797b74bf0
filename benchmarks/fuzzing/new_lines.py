"""Noticing that a case runs lines of modelexport that no case ran before.

It takes `sys.monitoring`, so Python 3.12 or newer. Each line tells of itself once, and then runs as
fast as any; with an older Python only what commands print tells what is new.
"""

import gc
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

_MARK = "/modelexport/"
_NAME = "fuzzing"


class NewLines:
    """Counts the lines that run for the first time.

    Attributes:
        lines: All of them so far, as file, function and line.
    """

    def __init__(self) -> None:
        self.lines: set[tuple[str, int]] = set()
        self._fresh: list[tuple[str, int]] = []

    def watch(self) -> None:
        """Begin, with the functions that are loaded by now; at most once a process."""
        monitoring: Any = getattr(sys, "monitoring", None)
        if monitoring is None:
            return
        monitoring.use_tool_id(monitoring.PROFILER_ID, _NAME)
        monitoring.register_callback(monitoring.PROFILER_ID, monitoring.events.LINE, self._note)
        for code in set(_loaded_code()):
            monitoring.set_local_events(monitoring.PROFILER_ID, code, monitoring.events.LINE)

    def take(self) -> list[tuple[str, int]]:
        """The lines that are new since the last call."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def _note(self, code: CodeType, line: int) -> Any:
        place = (code.co_filename, line)
        if place not in self.lines:
            self.lines.add(place)
            self._fresh.append(place)
        return sys.monitoring.DISABLE  # type: ignore[attr-defined,unused-ignore]


def _loaded_code() -> Iterator[CodeType]:
    """The code of all functions of modelexport, those inside others included."""
    pending = [f.__code__ for f in gc.get_objects() if type(f) is FunctionType]
    while pending:
        code = pending.pop()
        if _MARK in code.co_filename:
            yield code
            pending += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
