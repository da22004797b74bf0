"""Running commands in forked processes that have everything loaded, and disturbing them."""

import gc
import importlib
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from faulting.scenes import copy_folder
from fuzzing.commands import Command
from fuzzing.judging import build_commands_once, run_command

_STOPPING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_NOBODY = 65534
"""User without rights, for faults of permissions when the tests run as root."""


class Ended(NamedTuple):
    """How a process ended.

    Attributes:
        code: Exit code; the negative number of the signal that killed it.
        err: What it wrote to standard error.
        seconds: How long it ran, from the moment on at which it had started.
    """

    code: int
    err: str
    seconds: float

    @property
    def is_one_sentence(self) -> bool:
        """Whether it said one thing, in a sentence of ours."""
        lines = self.err.splitlines()
        return len(lines) == 1 and lines[0].startswith("modelexport: ")


class Running:
    """A command under way.

    Args:
        arguments: What follows the program's name.
        folder: Its working folder.
        file_limit: Largest size of a file that it may write, in bytes; None for no limit.
        as_nobody: Whether it runs as a user without rights.
    """

    def __init__(
        self,
        arguments: list[str],
        folder: Path,
        *,
        file_limit: int | None = None,
        as_nobody: bool = False,
    ) -> None:
        self._errors = folder.with_name(f"{folder.name}.err")
        self._errors.write_bytes(b"")
        started, self._starting = os.pipe()
        self._code: object = 70  # until the command has ended
        self.pid = os.fork()
        if not self.pid:
            try:
                os.close(started)
                self._work(arguments, folder, file_limit, as_nobody)
            finally:  # a signal after the end of the command must not run what the parent does
                os._exit(self._code if isinstance(self._code, int) else 99)
        os.close(self._starting)
        os.read(started, 1)
        os.close(started)
        self.start = time.monotonic()

    def kill(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when the process is gone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self) -> Ended:
        """Wait for its end."""
        _, status = os.waitpid(self.pid, 0)
        seconds = time.monotonic() - self.start
        err = self._errors.read_text(errors="replace")
        self._errors.unlink()
        return Ended(os.waitstatus_to_exitcode(status), err, seconds)

    def _work(
        self, arguments: list[str], folder: Path, file_limit: int | None, as_nobody: bool
    ) -> None:
        """What the process does. It never returns."""
        try:
            os.chdir(folder)
            errors = os.open(self._errors, os.O_WRONLY | os.O_APPEND)
            os.dup2(os.open(os.devnull, os.O_RDWR), 0)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(errors, 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if file_limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
            if as_nobody and not os.getuid():
                os.setgid(_NOBODY)
                os.setuid(_NOBODY)
            cli = importlib.import_module("modelexport.cli.main")
            cli._run = _with_signals(cli._run)  # noqa: SLF001 - where the command begins
            signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
            os.write(self._starting, b".")
            cli.main(arguments)
        except SystemExit as ended:
            self._code = ended.code
        except BaseException:  # noqa: BLE001 - as Python would end
            traceback.print_exc()
            self._code = 1
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()


def _with_signals(function: Callable[..., int]) -> Callable[..., int]:
    """The function that lets signals in: one that came before was for the benchmark's own code."""

    def call(*arguments: Any) -> int:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
        return function(*arguments)

    return call


def run(arguments: list[str], folder: Path, **limits: bool | int | None) -> Ended:
    """Run a command to its end; the limits are those of `Running`."""
    return Running(arguments, folder, **limits).wait()  # type: ignore[arg-type]


def give_to_nobody(folder: Path) -> None:
    """Give a folder to the user without rights, where this process may do that."""
    if os.getuid():
        return
    for place, folders, names in os.walk(folder):
        for name in (".", *folders, *names):
            os.chown(Path(place, name), _NOBODY, _NOBODY)


def load_all(lines: Iterable[list[str]], folder: Path, inputs: Path) -> None:
    """Run commands in this process, so that those that are forked have everything loaded.

    Args:
        lines: The arguments of each command.
        folder: Where they run; it is made anew.
        inputs: The folder with what they read.
    """
    build_commands_once()
    before = Path.cwd()
    for arguments in lines:
        copy_folder(inputs, folder)
        os.chdir(folder)
        try:
            run_command(Command(tuple(arguments)))
        finally:
            os.chdir(before)
    gc.collect()
    gc.freeze()
