"""Ending a command cleanly when a file becomes shorter while a library has it mapped.

The system ends a process that touches a mapped page which its file does not have any more
(SIGBUS). Python handles signals between its own steps, but the step that touched the page cannot
be finished. So a handler in C is needed; it says why, removes unfinished files, and ends the
process. Only the command line asks for that. In a program that calls the functions, the signal
does what it always does.
"""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from modelexport.support.part_folders import remove_unfinished

_EXIT_CODE = 2
_SECONDS = 10
"""Seconds that the handler has to end the process. After that, the system ends it."""


class _MappedFiles:
    """The files that libraries may have mapped.

    Attributes:
        sizes: Bytes of each file when it was mapped.
        report: Says that a file has become shorter; None where the signal is not handled.
    """

    def __init__(self) -> None:
        self.sizes: dict[Path, int] = {}
        self.report: Callable[[str], None] | None = None

    def shortened(self) -> Path | None:
        """The first file that has become shorter; None if there is none."""
        return next((file for file, size in self.sizes.items() if _size(file) < size), None)


_MAPPED = _MappedFiles()


@contextmanager
def exit_on_lost_memory(report: Callable[[str], None]) -> Iterator[None]:
    """End the process with exit code 2 if a mapped file becomes shorter while the body runs.

    Args:
        report: Gets the sentence that says so.
    """
    _MAPPED.report = report
    try:
        yield
    finally:
        _MAPPED.report = None
        _MAPPED.sizes.clear()


def add_mapped_files(files: Iterable[Path]) -> None:
    """Note files that a library maps from now on, perhaps until the process ends."""
    if _MAPPED.report is not None and hasattr(signal, "SIGBUS"):
        _MAPPED.sizes |= {file: _size(file) for file in files}
        _install_handler()


def _size(file: Path) -> int:
    """Bytes of a file; 0 if there is none."""
    return file.stat().st_size if file.exists() else 0


@cache
def _install_handler() -> Any:
    """Let the system call `_end_process`; gives what must stay in memory for that."""
    import ctypes  # noqa: PLC0415 - only commands that run files need it

    handler_type = ctypes.CFUNCTYPE(None, ctypes.c_int)
    handler = handler_type(_end_process)
    set_handler = ctypes.CDLL(None).signal
    set_handler.argtypes = [ctypes.c_int, handler_type]
    set_handler.restype = ctypes.c_void_p
    set_handler(signal.SIGBUS, handler)
    return handler


def _end_process(number: int) -> None:
    """The handler of SIGBUS, on whatever thread touched the page."""
    file = _MAPPED.shortened()
    if file is None or _MAPPED.report is None:
        import ctypes  # noqa: PLC0415 - as above

        ctypes.CDLL(None).signal(number, None)  # reading again ends the process
        return
    signal.alarm(_SECONDS)
    _MAPPED.report(f"{file}: became shorter while it was read.")
    remove_unfinished()
    os._exit(_EXIT_CODE)
