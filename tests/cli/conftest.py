"""Fixtures that tests of the commands share."""

from pathlib import Path

import pytest


@pytest.fixture
def folder(plain: Path, plain_record: Path) -> Path:
    """A folder with a plain file and its record."""
    assert plain.parent == plain_record.parent
    return plain.parent
