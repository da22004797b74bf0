"""Doing work on those of several files that have a certain module."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from modelexport.errors import NoSuchModuleError

Item = TypeVar("Item")
Result = TypeVar("Result")


def those_that_have(
    items: Iterable[Item], work: Callable[[Item], Result]
) -> Iterator[tuple[Item, Result]]:
    """The result for each item that has the module; items without it are left out.

    Args:
        items: Files or parts.
        work: Does something with one of them.

    Raises:
        NoSuchModuleError: All of them lack it; the error is that of the first.
    """
    missing: NoSuchModuleError | None = None
    some_have = False
    for item in items:
        try:
            result = work(item)
        except NoSuchModuleError as error:
            missing = missing or error
            continue
        some_have = True
        yield item, result
    if missing is not None and not some_have:
        raise missing
