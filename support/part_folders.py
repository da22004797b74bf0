"""Folders for unfinished files, which the next run sweeps away when their process was killed.

Whoever writes holds a lock on the folder. The system takes the lock away when the process ends,
however it ends. So a folder that nobody locks holds what a killed process left.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from modelexport.support.held_signals import held_signals

PREFIX = ".modelexport."
SUFFIX = ".part"
LONGEST_WAIT = 2.0
"""Seconds after which files are moved into a folder that somebody else has locked."""
_STEP = 0.01
"""Seconds between two attempts."""
_OPEN: set[Path] = set()
"""The folders that this process holds."""


class WrittenFile(NamedTuple):
    """A file that has its final name, but is removed if a later step fails.

    Attributes:
        path: Where it is.
        identity: Device and number of the file. Another process may put its own file in the place.
    """

    path: Path
    identity: tuple[int, int]

    @classmethod
    def at(cls, path: Path) -> "WrittenFile":
        """The file that is at a path now."""
        return cls(path, _identity(path))

    def remove(self) -> None:
        """Remove it; a file of another process stays."""
        with suppress(FileNotFoundError):
            if _identity(self.path) == self.identity:
                self.path.unlink()


_WRITTEN: list[Iterable[WrittenFile]] = []
"""Files that are removed if the process ends before a later step has succeeded."""


@contextmanager
def make_part_folder(parent: Path) -> Iterator[Path]:
    """A new folder for unfinished files, locked; leftovers of killed processes are removed.

    Args:
        parent: The folder in which it is made.

    Raises:
        OSError: It cannot be made.
    """
    _sweep(parent)
    locked: tuple[Path, int] | None = None
    try:
        with held_signals():
            locked = _make_locked(parent)
            _OPEN.add(locked[0])
        yield locked[0]
    finally:
        stopped: BaseException | None = None
        left: tuple[Path, int] | None = locked
        while left is not None:  # no call before `try`: signals are handled where calls begin
            try:
                shutil.rmtree(left[0], ignore_errors=True)
                left = None
            except BaseException as error:  # noqa: BLE001 - a signal, which is raised below
                stopped = error
        if locked is not None:
            _OPEN.discard(locked[0])
            os.close(locked[1])
        if stopped is not None:
            raise stopped


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Let no other process that locks a folder run the body at the same time.

    The body runs in any case: without the lock on file systems that have none, and where somebody
    holds it for long, such as a script that locked the folder and then started this process.

    Args:
        folder: The folder. One for unfinished files is this process's own already.

    Raises:
        OSError: It cannot be read.
    """
    if _is_own(folder):
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _wait_for_lock(descriptor)
        yield
    finally:
        os.close(descriptor)


def _is_own(folder: Path) -> bool:
    """Whether a folder is one for unfinished files that this process holds."""
    for own in list(_OPEN):
        with suppress(FileNotFoundError):  # another thread may have removed it
            if _identity(own) == _identity(folder):
                return True
    return False


def _wait_for_lock(descriptor: int) -> None:
    """Lock a folder, if nobody else holds its lock for long."""
    end = time.monotonic() + LONGEST_WAIT
    while time.monotonic() < end:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_STEP)
        except OSError:
            return  # a file system without locks
        else:
            return


@contextmanager
def removed_on_error(files: Iterable[WrittenFile]) -> Iterator[None]:
    """If the body raises, remove files that were written before it."""
    _WRITTEN.append(files)
    try:
        yield
    except BaseException:
        for file in files:
            file.remove()
        raise
    finally:
        _WRITTEN.pop()


def remove_unfinished() -> None:
    """Remove unfinished files just before the process ends without raising an error."""
    for folder in list(_OPEN):
        shutil.rmtree(folder, ignore_errors=True)
    for files in _WRITTEN:
        for file in files:
            file.remove()


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


def _make_locked(parent: Path) -> tuple[Path, int]:
    """A new folder, and the descriptor that holds its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, suffix=SUFFIX, dir=parent))
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            if parent.is_dir():
                continue  # another process swept it away before it was opened
            raise
        if not _lock(descriptor, wait=True):
            return folder, descriptor  # a file system without locks: then nobody sweeps, either
        if folder.exists():
            return folder, descriptor
        os.close(descriptor)  # another process swept it away before it was locked


def _sweep(parent: Path) -> None:
    """Remove the folders for unfinished files that no process holds."""
    with os.scandir(parent) as entries:
        names = [e.name for e in entries if e.name.startswith(PREFIX) and e.name.endswith(SUFFIX)]
    for name in names:
        try:
            descriptor = os.open(parent / name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # another user's, or gone by now
        try:
            if _lock(descriptor, wait=False):
                shutil.rmtree(parent / name, ignore_errors=True)
        finally:
            os.close(descriptor)


def _lock(descriptor: int, *, wait: bool) -> bool:
    """Lock a folder; False when another process holds it, or its file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True
