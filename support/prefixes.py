"""What sequences begin with."""

from collections.abc import Iterable
from itertools import takewhile
from typing import TypeVar

T = TypeVar("T")


def common_start(sequences: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    """The longest beginning that all sequences share; nothing when there are none."""
    columns = takewhile(lambda column: len(set(column)) == 1, zip(*sequences, strict=False))
    return tuple(column[0] for column in columns)
