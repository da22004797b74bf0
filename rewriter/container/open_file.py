"""An open file that is read by system calls.

Mapping the file would be shorter. But a process that touches a mapped page of a file which has
become shorter is killed (SIGBUS), and Python cannot turn that into an error. A system call reads
fewer bytes in that case, which becomes a sentence here.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Self

import numpy as np
import numpy.typing as npt

from modelexport.errors import OnnxFileError


class _Identity(NamedTuple):
    """What changes when somebody changes or replaces a file."""

    device: int
    inode: int
    size: int
    modified: int


def _identity(status: os.stat_result) -> _Identity:
    return _Identity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class OpenFile:
    """A file that is open for reading. Made by `OpenFile.open`.

    Attributes:
        path: The file.
        descriptor: Its descriptor.
        size: Number of its bytes when it was opened.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self._identity = _identity(os.fstat(descriptor))
        self.size = self._identity.size
        self._settled = False

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Open a file, which must not change until the body ends.

        Raises:
            OnnxFileError: It cannot be read, is no regular file, or is changed meanwhile.
        """
        descriptor = _open(path)
        try:
            file = cls(path, descriptor)
            try:
                yield file
            except Exception:
                file.check_unchanged()  # a better reason for the error than the error's own
                raise
            if not file._settled:
                file.check_unchanged()
        finally:
            os.close(descriptor)

    def settle(self) -> None:
        """Allow changes from now on: what was read of the file is used up."""
        self._settled = True

    def read(self, start: int, length: int) -> npt.NDArray[np.uint8]:
        """Read some bytes.

        Raises:
            OnnxFileError: The file has become shorter, or these bytes do not fit into memory.
        """
        try:
            block = np.empty(length, np.uint8)
        except MemoryError as error:
            raise OnnxFileError(
                f"{self.path}: there is not enough memory for {length:,} bytes of it."
            ) from error
        self.read_into(block.data, start)
        return block

    def check_unchanged(self) -> None:
        """Refuse a file that somebody changed or replaced since it was opened.

        Raises:
            OnnxFileError: It has changed.
        """
        try:
            now = _identity(self.path.stat())
        except OSError as error:
            raise OnnxFileError(f"{self.path}: was removed while it was read.") from error
        if now != self._identity:
            shorter = now.inode == self._identity.inode and now.size < self.size
            how = "became shorter" if shorter else "was changed"
            raise OnnxFileError(f"{self.path}: {how} while it was read.")

    def refuse_shorter(self) -> NoReturn:
        """Raise the error of a file that ends before it should.

        Raises:
            OnnxFileError: Always.
        """
        raise OnnxFileError(f"{self.path}: became shorter while it was read.")

    def read_into(self, view: Any, start: int) -> None:
        """Fill a memoryview with bytes of the file from `start` on.

        Raises:
            OnnxFileError: The file has become shorter, or cannot be read.
        """
        done = 0
        while done < len(view):
            try:
                count = os.preadv(self.descriptor, [view[done:]], start + done)
            except OSError as error:
                raise OnnxFileError(f"{self.path}: cannot be read ({error.strerror}).") from error
            if not count:
                self.refuse_shorter()
            done += count


def _open(path: Path) -> int:
    """The descriptor of a regular file; never waits for a pipe that nobody writes to."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise OnnxFileError(f"{path}: there is no such file.") from error
    except OSError as error:
        reason = "a socket" if error.errno == errno.ENXIO else error.strerror
        raise OnnxFileError(f"{path}: cannot be read ({reason}).") from error
    except ValueError as error:
        raise OnnxFileError(f"{path}: no file can have this name ({error}).") from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        what = "a folder" if stat.S_ISDIR(mode) else "a pipe or device"
        raise OnnxFileError(f"{path}: {what}, not a file.")
    return descriptor
