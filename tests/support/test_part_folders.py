"""Files that are removed if a later step fails, and folders that are locked meanwhile."""

import fcntl
import os
from pathlib import Path

import pytest

from modelexport.support import part_folders
from modelexport.support.folders import atomic_folder, staged_files
from modelexport.support.part_folders import (
    WrittenFile,
    locked_folder,
    make_part_folder,
    removed_on_error,
)


def _fail(*files: WrittenFile) -> None:
    with pytest.raises(ValueError, match="later"), removed_on_error(files):
        raise ValueError("a later step")


def test_files_of_a_failed_command_are_removed(tmp_path: Path) -> None:
    """Also when one of them is gone already."""
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_text(path.name)
    files = [WrittenFile.at(path) for path in paths]
    paths[0].unlink()
    _fail(*files)
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_another_process_stays(tmp_path: Path) -> None:
    """It was moved to the same place since."""
    path, other = tmp_path / "new", tmp_path / "other"
    path.write_text("mine")
    file = WrittenFile.at(path)
    other.write_text("another one")
    other.replace(path)
    _fail(file)
    assert path.read_text() == "another one"


def test_files_stay_when_nothing_fails(tmp_path: Path) -> None:
    """They are whole then."""
    path = tmp_path / "new"
    path.write_text("mine")
    with removed_on_error([WrittenFile.at(path)]):
        pass
    assert path.read_text() == "mine"


def test_a_folder_that_this_process_holds_is_not_locked_twice(tmp_path: Path) -> None:
    """The body runs at once; a second lock would be waited for without end."""
    with make_part_folder(tmp_path) as folder:
        with locked_folder(folder):
            (folder / "new").write_text("a file inside")
        assert (folder / "new").exists()


def test_a_folder_that_somebody_locked_does_not_stop_anyone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script may lock the output's folder before it starts the process that writes into it."""
    monkeypatch.setattr(part_folders, "LONGEST_WAIT", 0.05)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with staged_files(tmp_path) as stage:
        (stage / "new").write_text("whole")
    os.close(descriptor)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_files_are_staged_inside_what_is_staged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder for unfinished files is locked by this process itself, which waits for nobody."""
    monkeypatch.setattr(part_folders.time, "sleep", lambda _: pytest.fail("it waits for itself"))
    for target in (tmp_path, tmp_path / "new"):
        with atomic_folder(target) as outer, staged_files(outer) as inner:
            (inner / "file").write_text("whole")
        assert (target / "file").read_text() == "whole"
