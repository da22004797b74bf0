"""Sizes in bytes as people write them."""

import pytest

from modelexport.support.byte_sizes import read_byte_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("7", 7),
        ("7B", 7),
        ("2GB", 2 * 1000**3),
        ("2 g", 2 * 1000**3),
        ("1.5kb", 1500),
        ("3MiB", 3 * 1024**2),
        ("1Ti", 1024**4),
    ],
)
def test_units(text: str, size: int) -> None:
    """With an i, units count by 1024; capitals and one space do not matter."""
    assert read_byte_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1XB", "1 2", "1e9", "9" * 5000, "1.5.5"])
def test_other_texts_are_no_sizes(text: str) -> None:
    assert read_byte_size(text) is None
