"""The tree that rows make: which modules are below which, and what a module is called there."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar


class NestedRow(Protocol):
    """The row of a module: its tag, and that of the row that it is part of."""

    @property
    def tag(self) -> str:
        """Its tag."""

    @property
    def parent(self) -> str | None:
        """Tag of the row that it is part of; None for the root."""


class RowWithDepth(NestedRow, Protocol):
    """The row of a module with its depth in the model."""

    @property
    def depth(self) -> int:
        """Steps below the root."""


Row = TypeVar("Row", bound=RowWithDepth)


class ListedRow(NestedRow, Protocol):
    """The row of a module that may only hold others."""

    @property
    def path(self) -> str:
        """Its module path."""

    @property
    def only_holds(self) -> bool:
        """Whether nothing of it is its own."""


def children_by_tag(rows: Iterable[NestedRow]) -> dict[str | None, list[str]]:
    """The tags directly below each tag, in the order of `rows`; the topmost are below None.

    A module whose parent is not among the rows is one of the topmost. Tags without children have
    no entry.
    """
    listed = {row.tag: row for row in rows}
    children: dict[str | None, list[str]] = {}
    for tag, row in listed.items():
        children.setdefault(row.parent if row.parent in listed else None, []).append(tag)
    return children


def rows_down_to(rows: Iterable[Row], depth: int) -> list[Row]:
    """The rows that are at most so many steps below the topmost ones.

    What is directly below a topmost row is one step below it. Below that, a row is as many steps
    below its parent as in the model: a number is one step with the name before it.

    Args:
        rows: The rows, parents before those that are part of them.
        depth: Maximum number of steps, 0 for the topmost rows alone.
    """
    depths: dict[str, int] = {}
    steps: dict[str, int] = {}
    selected = []
    for row in rows:
        depths[row.tag] = row.depth
        steps[row.tag] = 0
        if row.parent in steps:
            above = steps[row.parent]
            steps[row.tag] = above + (not above or row.depth > depths[row.parent])
        if steps[row.tag] <= depth:
            selected.append(row)
    return selected


def without_plain_lists(
    children: Mapping[str | None, Sequence[str]], rows: Mapping[str, Sequence[ListedRow]]
) -> dict[str | None, list[str]]:
    """The tree without modules that only hold numbered ones, whose names say as much.

    `layer.0` and `layer.1` stand in the place of `layer`. The topmost modules stay.

    Args:
        children: The tags directly below each tag.
        rows: The rows of each tag: one of each file that has it.
    """

    def is_plain_list(tag: str) -> bool:
        stem = f"{rows[tag][0].path}."
        below = (rows[child][0].path for child in children.get(tag, ()))
        return all(row.only_holds for row in rows[tag]) and all(
            path.startswith(stem) and path.removeprefix(stem).isdigit() for path in below
        )

    def shown(tag: str) -> list[str]:
        names, pending = [], [tag]
        while pending:
            name = pending.pop()
            if children.get(name) and is_plain_list(name):
                pending.extend(reversed(children[name]))
            else:
                names.append(name)
        return names

    tree: dict[str | None, list[str]] = {}
    pending: list[str | None] = [None]
    while pending:
        parent = pending.pop()
        below = list(children.get(parent, ()))
        if parent is not None:
            below = [name for child in below for name in shown(child)]
        if below:
            tree[parent] = below
            pending += below
    return tree


def step_below(tag: str, ancestor: str | None) -> str:
    """What a tag adds to that of an ancestor, with the separator; without one the whole tag.

    >>> step_below("/Net/layer.0", "/Net"), step_below("/Net/layer.0", "/Net/layer")
    ('/layer.0', '.0')

    By class, a numbered module has a name of its own:

    >>> step_below("/Net/Block.0", "/Net/ModuleList")
    '/Block.0'
    """
    above = ancestor or ""
    while above and not tag.startswith((f"{above}/", f"{above}.")):
        above = above.rpartition("/")[0]
    return tag.removeprefix(above)


def name_of_step(step: str) -> str:
    """A step without its separator.

    >>> name_of_step("/layer.0"), name_of_step(".0")
    ('layer.0', '0')
    """
    return step.lstrip("/.")


def short_name(tag: str, ancestor: str | None) -> str:
    """What a module is called below an ancestor; without one, its whole tag.

    >>> short_name("/Net/layer.0", "/Net"), short_name("/Net/layer.0", None)
    ('layer.0', 'Net/layer.0')
    """
    return name_of_step(step_below(tag, ancestor))
