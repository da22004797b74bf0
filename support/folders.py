"""Folders of files that belong together: all of them appear, or none."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from modelexport.errors import FileProblem
from modelexport.support.files import check_target, move_complete, part_folder, write_error
from modelexport.support.part_folders import (
    WrittenFile,
    locked_folder,
    make_part_folder,
    removed_on_error,
)


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder and those above it; remove the new ones if the body raises.

    Args:
        folder: The folder; it may exist.

    Raises:
        FileProblem: It cannot be made.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    try:
        yield
    except BaseException:
        for path in missing:
            path.rmdir()
        raise


@contextmanager
def atomic_folder(target: Path, *, force: bool = False) -> Iterator[Path]:
    """Write files into a temporary folder; all of them move to their places when all are complete.

    A folder that does not exist yet appears with all its files at once. In a folder that exists,
    the files get their names one after the other, in the order in which they were written; folders
    inside it are made where they are missing.

    Args:
        target: The folder; it is made, with those above it.
        force: Whether existing files may be overwritten.

    Yields:
        The folder to write into. It is removed when the body raises.

    Raises:
        FileProblem: A file exists already, or the folder cannot be written.
    """
    if target.exists() and not target.is_dir():
        check_target(target / "file")
    if target.exists():
        with staged_files(target, force=force) as staging:
            yield staging
        return
    with ExitStack() as stack:
        stack.enter_context(made_folder(target.parent))
        staging = stack.enter_context(part_folder(target)) / target.name
        staging.mkdir()
        with _named_as(target, staging):
            yield staging
        try:
            if not target.exists():
                staging.rename(target)
                return
        except OSError as error:
            if not target.is_dir():  # another process may have made it meanwhile
                raise write_error(target, error) from error
        _move_files(staging, target, force=force)


@contextmanager
def staged_files(folder: Path, *, force: bool = False) -> Iterator[Path]:
    """Write files into a temporary folder inside a folder; they move up when all are complete.

    Files of two processes with the same names are not mixed: those of the last one are left.

    Args:
        folder: The folder; it exists.
        force: Whether existing files may be overwritten.

    Yields:
        The temporary folder. It is removed when the body raises.

    Raises:
        FileProblem: A file exists already, or the folder cannot be written.
    """
    with ExitStack() as stack:
        try:
            staging = stack.enter_context(make_part_folder(folder))
        except OSError as error:
            raise write_error(folder, error) from error
        with _named_as(folder, staging):
            yield staging
        _move_files(staging, folder, force=force)


@contextmanager
def _named_as(target: Path, staging: Path) -> Iterator[None]:
    """Name the final place in errors about unfinished files."""
    try:
        yield
    except FileProblem as error:
        text = str(error)
        if text.startswith(f"{staging}{os.sep}"):
            folder = f"{target}{os.sep}" if target.name else ""
            raise type(error)(f"{folder}{text[len(str(staging)) + 1 :]}") from error
        raise


def _move_files(source: Path, target: Path, *, force: bool) -> None:
    """Move all files below a folder into another one, or none of them."""
    files = [path for path in source.rglob("*") if not path.is_dir()]
    ordered = sorted(files, key=lambda file: file.stat().st_mtime_ns)
    places = {file: target / file.relative_to(source) for file in ordered}
    with ExitStack() as stack:
        for folder in dict.fromkeys(place.parent for place in places.values()):
            stack.enter_context(made_folder(folder))
        try:
            stack.enter_context(locked_folder(target))
        except OSError as error:
            raise write_error(target, error) from error
        for place in places.values():
            check_target(place, force=force)
        moved: list[WrittenFile] = []
        stack.enter_context(removed_on_error(moved))
        for file, place in places.items():
            try:
                move_complete(file, place, force=force)
            except OSError as error:
                raise write_error(place, error) from error
            moved.append(WrittenFile.at(place))
