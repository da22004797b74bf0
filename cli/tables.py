"""Tables that look the same in a terminal and in markdown, and short texts for their cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from modelexport.support.visible_text import markdown_cell, visible_line

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

_OPERATORS = 4
"""The most operators that are listed in a cell."""
_GAP = 2
"""Columns of the terminal between two columns of a table."""


@dataclass(frozen=True)
class Grid:
    """A table. A rich console prints it; `markdown` gives it as text.

    Attributes:
        columns: The heads. One that begins with `>` is of numbers, which are aligned to the right.
        rows: The cells.
        optional: Heads of the columns that a narrow terminal may leave out, the least important
            first.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    optional: Sequence[str] = ()

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        """For a terminal or a pipe."""
        rows = [list(map(visible_line, row)) for row in self.rows]  # before columns get a width
        left_out = self._left_out(rows, options.max_width)
        shown = [number for number in range(len(self.columns)) if number not in left_out]
        table = Table(box=None, pad_edge=False, header_style="bold")
        for number in shown:
            head = self.columns[number]
            if _is_numeric(head):
                table.add_column(_title(head), justify="right", no_wrap=True)
            else:  # a column of text that may wrap shrinks before numbers do; its cells are cut
                table.add_column(_title(head))
        for row in rows:
            table.add_row(
                *(Text(row[number], no_wrap=True, overflow="ellipsis") for number in shown)
            )
        yield table
        if left_out:
            names = ", ".join(_title(self.columns[number]) for number in sorted(left_out))
            text = f"(the terminal is too narrow to show: {names})"
            yield Text(text, style="dim", no_wrap=False, overflow="fold")

    def markdown(self) -> str:
        """As a table of GitHub's markdown."""
        rules = ["---:" if _is_numeric(head) else "---" for head in self.columns]
        return "\n".join(map(_markdown_line, [list(map(_title, self.columns)), rules, *self.rows]))

    def _left_out(self, rows: Sequence[Sequence[str]], width: int) -> set[int]:
        """The positions of the columns that have to be left out of a terminal of this width."""
        texts = zip(map(_title, self.columns), *rows, strict=True)
        widths = [max(cell_len(text) for text in column) for column in texts]
        missing = sum(widths) + _GAP * (len(widths) - 1) - width
        left_out: set[int] = set()
        for optional in self.optional:
            if missing <= 0:
                break
            same_head = {n for n, head in enumerate(self.columns) if head == optional} - left_out
            missing -= sum(widths[number] + _GAP for number in same_head)
            left_out |= same_head
        return left_out


def _is_numeric(head: str) -> bool:
    return head.startswith(">")


def _title(head: str) -> str:
    return visible_line(head.removeprefix(">"))


def _markdown_line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(markdown_cell, cells)) + " |"


_TOO_LARGE = 10**300
"""Counts from here on may be too large for Python's floats. A damaged file may state such a number
of bytes."""


def short_count(count: int) -> str:
    """A count with one decimal at most.

    >>> short_count(22713216), short_count(512)
    ('22.7M', '512')
    """
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            if count >= _TOO_LARGE:
                return f"{Decimal(count) / size:.1e}{unit}"
            return f"{count / size:.1f}{unit}"
    return str(count)


def known_part(known: int, unknown: int) -> str:
    """A sum of which some parts may be unknown.

    Args:
        known: The sum of the known parts.
        unknown: How many parts are unknown.

    >>> known_part(5000, 0), known_part(5000, 2), known_part(0, 2)
    ('5.0k', '5.0k + ?', '?')
    """
    if unknown and not known:
        return "?"
    return short_count(known) + (" + ?" if unknown else "")


def plural(count: int, word: str) -> str:
    """A count with its word.

    >>> plural(1, "node"), plural(2, "node")
    ('1 node', '2 nodes')
    """
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def list_counts(counts: Mapping[str, int], most: int | None = _OPERATORS) -> str:
    """The names of some counts, each with its count.

    Args:
        counts: Count by name.
        most: How many are listed; None for all.

    >>> list_counts({"Add": 3, "Mul": 2, "Relu": 1}, most=2)
    'Add 3, Mul 2, 1 more'
    """
    listed = [f"{name} {count}" for name, count in list(counts.items())[:most]]
    rest = len(counts) - len(listed)
    return ", ".join([*listed, *([f"{rest} more"] if rest else [])])
