"""Writing files so that nothing half-done is ever seen."""

import errno
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hierarchy.errors import FileProblem

_SENTENCES = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would exceed the size limit",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENOENT: "there is no such folder",
    errno.ENOTDIR: "a part of its path is no folder",
}


@contextmanager
def replacing(
    target: Path, *, force: bool = False, inputs: Iterable[Path] = (), mode_of: Path | None = None
) -> Iterator[Path]:
    """Write a file beside its target, and rename it when it is complete.

    Args:
        target: Where the file goes.
        force: Whether an existing file may be replaced.
        inputs: Files that are read meanwhile: none of them may be the target, even with `force`.
        mode_of: A file whose permission bits the new one gets; else the process's default.

    Yields:
        The temporary path to write to. It is gone when the body raises.

    Raises:
        FileProblem: The target exists, is an input or cannot be written.
    """
    check_target(target, force=force, inputs=inputs)
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{target.name}.", suffix=".part", dir=target.parent
        )
    except OSError as error:
        raise write_problem(target, error) from error
    temporary = Path(name)
    try:
        os.close(handle)
        yield temporary
        temporary.chmod(_mode(mode_of))
        temporary.replace(target)
    except OSError as error:
        raise write_problem(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_problem(target: Path, error: OSError) -> FileProblem:
    """The sentence for a write that the system refused."""
    why = _SENTENCES.get(error.errno or 0, error.strerror or str(error))
    return FileProblem(f"{target}: cannot be written ({why}).")


def check_target(target: Path, *, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse a target that `replacing` would refuse, before any work is done."""
    for source in inputs:
        if target.exists() and source.exists() and target.samefile(source):
            raise FileProblem(f"{target}: the output is also an input; choose another name.")
    if target.is_dir():
        raise FileProblem(f"{target}: a folder, not a file.")
    if not target.parent.is_dir():
        raise FileProblem(f"{target}: cannot be written (there is no such folder).")
    if not force and (target.exists() or target.is_symlink()):
        raise FileProblem(f"{target}: exists already; --force overwrites it.")


def _mode(source: Path | None) -> int:
    if source is not None:
        return source.stat().st_mode & 0o7777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
