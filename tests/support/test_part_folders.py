"""Files that are removed if a later step fails."""

from pathlib import Path

import pytest

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
