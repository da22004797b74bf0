"""Writing files so that nobody ever sees an incomplete one."""

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from modelexport.errors import FileProblem
from modelexport.support.part_folders import make_part_folder

_DISK_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would exceed the size limit",
    errno.EROFS: "the file system is read-only",
    errno.EIO: "the disk reports an error",
}
"""Errors that only writing can cause, even where the error does not name the file."""

_REASONS = _DISK_REASONS | {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOENT: "there is no such folder",
    errno.ENOTDIR: "a part of its path is not a folder",
    errno.ENAMETOOLONG: "its name is too long",
}

_WITHOUT_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
"""Errors of a file system on which a file cannot have a second name."""

_EXISTS = "exists already; --force overwrites it"
_PART = "file"
"""Name of an unfinished file in its folder."""


@contextmanager
def atomic_replacement(
    target: Path, *, force: bool = False, inputs: Iterable[Path] = (), mode_of: Path | None = None
) -> Iterator[Path]:
    """Write a temporary file in a folder beside the target; it becomes the target when complete.

    Args:
        target: The file to write. A link is replaced, not followed.
        force: Whether an existing file may be replaced.
        inputs: Files that are read at the same time. None of them may be the target, even with
            `force`.
        mode_of: A file whose permission bits the new file gets; None for the process's default.

    Yields:
        The temporary path to write to. It is removed when the body raises.

    Raises:
        FileProblem: The target exists, is one of the inputs or cannot be written. Errors of the
            body about other files pass unchanged.
    """
    check_target(target, force=force, inputs=inputs)
    with part_folder(target) as folder:
        temporary = folder / _PART
        try:
            yield temporary
            temporary.chmod(_permissions(mode_of))
            move_complete(temporary, target, force=force)
        except OSError as error:
            if _is_about(temporary, error):
                raise write_error(target, error) from error
            raise


def move_complete(temporary: Path, target: Path, *, force: bool) -> None:
    """Give a complete file its name; without `force` only if no file has the name by now.

    Args:
        temporary: The file, on the file system of the target.
        target: Its name.
        force: Whether an existing file may be replaced.

    Raises:
        FileProblem: A file has the name already.
        OSError: The file cannot be moved.
    """
    if force:
        temporary.replace(target)
        return
    try:
        target.hardlink_to(temporary)  # renaming would replace what another writer made meanwhile
    except FileExistsError as error:
        raise FileProblem(f"{target}: {_EXISTS}.") from error
    except OSError as error:
        if error.errno not in _WITHOUT_LINKS:
            raise
        if target.exists() or target.is_symlink():
            raise FileProblem(f"{target}: {_EXISTS}.") from error
        temporary.replace(target)


@contextmanager
def part_folder(target: Path) -> Iterator[Path]:
    """A folder beside a file for what is unfinished. It is removed at the end of the body.

    Args:
        target: The file that will be written.

    Raises:
        FileProblem: The folder of the target cannot be written.
    """
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(make_part_folder(target.parent))
        except OSError as error:
            raise write_error(target, error) from error
        yield folder


@contextmanager
def attribute_errors_to(temporary: Path) -> Iterator[None]:
    """Put the name of a file into errors of the disk, which often have none.

    With several open `atomic_replacement`s, this tells which file could not be written.

    Args:
        temporary: The temporary path of one of them.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(temporary)
        raise


def check_target(target: Path, *, force: bool = False, inputs: Iterable[Path] = ()) -> None:
    """Refuse what `atomic_replacement` would refuse, before the work that makes the file.

    Args:
        target: The file that will be written.
        force: Whether an existing file may be replaced.
        inputs: Files that are read at the same time.

    Raises:
        FileProblem: The target exists, is one of the inputs, or its folder cannot be written.
    """
    try:
        reason = _refusal(target, force=force, inputs=inputs)
        if reason is None and not os.access(target.parent, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise write_error(target, error) from error
    if reason is not None:
        raise FileProblem(f"{target}: {reason}.")


def write_error(target: Path, error: OSError) -> FileProblem:
    """The error for a file that the operating system refused to write."""
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    if error.errno == errno.ENOENT and target.parent.is_dir():
        reason = "no file can be created in that folder"
    return FileProblem(f"{target}: cannot be written ({reason}).")


def _is_about(temporary: Path, error: OSError) -> bool:
    """Whether an error is about the file that is written. A body may read other files."""
    if error.filename is None:
        return error.errno in _DISK_REASONS
    return os.fsdecode(error.filename) == str(temporary)


def _refusal(target: Path, *, force: bool, inputs: Iterable[Path]) -> str | None:
    """Why a target is refused; None when it is not.

    Raises:
        OSError: The folder of the target does not exist or cannot be read.
    """
    exists = target.exists()
    if exists and any(source.exists() and target.samefile(source) for source in inputs):
        return "the output is also an input; choose another name"
    if target.is_dir():
        return "a folder, not a file"
    if exists and not target.is_file():
        return "not a regular file; choose another name"
    if not force and (exists or target.is_symlink()):
        return _EXISTS
    if target.parent.exists() and not target.parent.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    target.parent.stat()
    return None


def _permissions(source: Path | None) -> int:
    """Permission bits of a file; without one, those that the process gives to new files."""
    if source is not None:
        return source.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
