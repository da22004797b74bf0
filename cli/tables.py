"""Tables that look the same in a terminal and in markdown, and short texts for their cells."""

from collections.abc import Iterable, Mapping, Sequence
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
_READABLE = 16
"""Width to which a column of text may shrink before optional columns are left out."""


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
        widths = self._widths(rows)
        left_out = self._left_out(widths, options.max_width)
        shown = [number for number in range(len(self.columns)) if number not in left_out]
        room = options.max_width - _GAP * (len(shown) - 1)
        widths = self._shrunk({number: widths[number] for number in shown}, room)
        table = Table(box=None, pad_edge=False, header_style="bold")
        for number in shown:
            head = self.columns[number]
            if _is_numeric(head):
                table.add_column(_title(head), justify="right", no_wrap=True)
            else:
                table.add_column(_title(head), max_width=widths[number])
        for row in rows:
            cells = (shorten_path(row[number], widths[number]) for number in shown)
            table.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in cells))
        yield table
        if left_out:
            names = ", ".join(_title(self.columns[number]) for number in sorted(left_out))
            text = f"(the terminal is too narrow to show: {names})"
            yield Text(text, style="dim", no_wrap=False, overflow="fold")

    def markdown(self) -> str:
        """As a table of GitHub's markdown."""
        rules = ["---:" if _is_numeric(head) else "---" for head in self.columns]
        return "\n".join(map(_markdown_line, [list(map(_title, self.columns)), rules, *self.rows]))

    def _widths(self, rows: Sequence[Sequence[str]]) -> dict[int, int]:
        """The width of each column that shows all of its cells."""
        columns = enumerate(zip(map(_title, self.columns), *rows, strict=True))
        return {number: max(map(cell_len, texts)) for number, texts in columns}

    def _texts(self, shown: Iterable[int]) -> list[int]:
        """The positions of columns of text. The first says what a row is about."""
        return [number for number in shown if not _is_numeric(self.columns[number])]

    def _left_out(self, widths: Mapping[int, int], width: int) -> set[int]:
        """The positions of the columns that have to be left out of a terminal of this width.

        Columns of text that are not optional shrink first, except for the first of them.
        """
        shrinking = {n for n in self._texts(widths)[1:] if self.columns[n] not in self.optional}
        least = {n: min(w, _READABLE) if n in shrinking else w for n, w in widths.items()}
        missing = sum(least.values()) + _GAP * (len(least) - 1) - width
        left_out: set[int] = set()
        for optional in self.optional:
            if missing <= 0:
                break
            same_head = {n for n, head in enumerate(self.columns) if head == optional} - left_out
            missing -= sum(least[number] + _GAP for number in same_head)
            left_out |= same_head
        return left_out

    def _shrunk(self, widths: Mapping[int, int], room: int) -> dict[int, int]:
        """The widths of columns that fit: the widest texts give way, and the first one last."""
        first, *others = self._texts(widths) or [0]
        room -= sum(w for n, w in widths.items() if _is_numeric(self.columns[n]))
        least = [min(widths[number], _READABLE) for number in others]
        shared = share_out(
            [widths[number] for number in others], max(room - widths[first], sum(least))
        )
        left = max(1, room - sum(shared))
        shrunk = {first: min(widths[first], left), **dict(zip(others, shared, strict=True))}
        return {number: shrunk.get(number, width) for number, width in widths.items()}


def share_out(widths: Sequence[int], room: int) -> list[int]:
    """Widths that fit into a room: the widest give way.

    >>> share_out([4, 30, 12], 30), share_out([4, 30, 12], 60)
    ([4, 14, 12], [4, 30, 12])
    """
    most = min(max(widths, default=0), max(room, 1))
    while most > 1 and sum(min(width, most) for width in widths) > room:
        most -= 1
    return [min(width, most) for width in widths]


def shorten_path(cell: str, width: int) -> str:
    """A path that fits a column. Its end is kept: the beginning is alike in many rows.

    A cell that is no path, or a list of several, is not changed.

    >>> shorten_path("/Net/layers.0/attention/query", 18), shorten_path("Add 3, MatMul 2", 8)
    ('…0/attention/query', 'Add 3, MatMul 2')
    """
    if cell_len(cell) <= width or "/" not in cell or ", " in cell:
        return cell
    end = cell[-width:]
    while end and cell_len(end) >= width:
        end = end[1:]
    return f"…{end}"


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
