"""Writing files so that nothing half-done is ever seen."""

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from modelexport.errors import FileProblem

_ABOUT_THE_DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would exceed the size limit",
    errno.EROFS: "the file system is read-only",
    errno.EIO: "the disk reports an error",
}
"""What can only be the fault of writing, even where the error does not name the file."""

_SENTENCES = _ABOUT_THE_DISK | {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOENT: "there is no such folder",
    errno.ENOTDIR: "a part of its path is no folder",
    errno.ENAMETOOLONG: "its name is too long",
}


@contextmanager
def atomic_replacement(
    target: Path, *, force: bool = False, inputs: Iterable[Path] = (), mode_of: Path | None = None
) -> Iterator[Path]:
    """Write a file beside its target, and rename it when it is complete.

    Args:
        target: Where the file goes. A link is replaced, not followed.
        force: Whether an existing file may be replaced.
        inputs: Files that are read meanwhile: none of them may be the target, even with `force`.
        mode_of: A file whose permission bits the new one gets; else the process's default.

    Yields:
        The temporary path to write to. It is gone when the body raises.

    Raises:
        FileProblem: The target exists, is an input or cannot be written. Errors of the body
            that are not about this file pass as they are.
    """
    check_target(target, force=force, inputs=inputs)
    try:
        handle, name = tempfile.mkstemp(prefix=".modelexport.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise write_problem(target, error) from error
    temporary = Path(name)
    try:
        os.close(handle)
        # a writer makes the file anew: ext4 flushes one that was truncated before it closes it,
        # which doubles the time of a large write
        temporary.unlink()
        yield temporary
        temporary.chmod(_mode(mode_of))
        temporary.replace(target)
    except OSError as error:
        if _is_about(temporary, error):
            raise write_problem(target, error) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing(part: Path) -> Iterator[None]:
    """Let errors of the disk say which of several files was being written.

    Args:
        part: One of the temporary paths that `atomic_replacement` gave.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(part)
        raise


def check_target(target: Path, *, force: bool = False, inputs: Iterable[Path] = ()) -> None:
    """Refuse what `atomic_replacement` would refuse, before the work that makes the file.

    Args:
        target: Where a file is to go.
        force: Whether an existing file may be replaced.
        inputs: Files that are read meanwhile.

    Raises:
        FileProblem: The target exists, is an input or is in no folder that can be written.
    """
    try:
        why = _reason_against(target, force=force, inputs=inputs)
        if why is None and not os.access(target.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise write_problem(target, error) from error
    if why is not None:
        raise FileProblem(f"{target}: {why}.")


def write_problem(target: Path, error: OSError) -> FileProblem:
    """The sentence for a write that the system refused."""
    why = _SENTENCES.get(error.errno or 0, error.strerror or str(error))
    if error.errno == errno.ENOENT and target.parent.is_dir():
        why = "no file can be made in that folder"
    return FileProblem(f"{target}: cannot be written ({why}).")


def _is_about(temporary: Path, error: OSError) -> bool:
    """Whether an error is about the file being written; a body may well read others."""
    if error.filename is None:
        return error.errno in _ABOUT_THE_DISK
    return os.fsdecode(error.filename) == str(temporary)


def _reason_against(target: Path, *, force: bool, inputs: Iterable[Path]) -> str | None:
    there = target.exists()
    if there and any(source.exists() and target.samefile(source) for source in inputs):
        return "the output is also an input; choose another name"
    if target.is_dir():
        return "a folder, not a file"
    if there and not target.is_file():
        return "not a regular file; choose another name"
    if not force and (there or target.is_symlink()):
        return "exists already; --force overwrites it"
    if target.parent.exists() and not target.parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    target.parent.stat()
    return None


def _mode(source: Path | None) -> int:
    if source is not None:
        return source.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
