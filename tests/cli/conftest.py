"""Fixtures that tests of the commands share."""

from pathlib import Path

import pytest

from tests.helpers.commands import Run
from tests.helpers.part_folders import part_folder


@pytest.fixture
def folder(plain: Path, plain_record: Path) -> Path:
    """A folder with a plain file and its record."""
    assert plain.parent == plain_record.parent
    return plain.parent


@pytest.fixture
def plain_parts(tmp_path: Path) -> Path:
    """A folder of two parts that are not annotated."""
    return part_folder(tmp_path / "plain")


@pytest.fixture
def annotated_parts(plain_parts: Path, run: Run) -> Path:
    """The folder, annotated by its own records."""
    out = plain_parts.with_name("annotated")
    assert run("annotate", plain_parts, "-o", out, "--strict").code == 0
    return out
