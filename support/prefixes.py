"""The common prefix of sequences."""

from collections.abc import Iterable
from itertools import takewhile
from typing import TypeVar

T = TypeVar("T")


def common_prefix(sequences: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    """The longest prefix that all sequences share; empty when there are no sequences.

    >>> common_prefix([(1, 2, 3), (1, 2)])
    (1, 2)
    """
    columns = takewhile(lambda column: len(set(column)) == 1, zip(*sequences, strict=False))
    return tuple(column[0] for column in columns)
