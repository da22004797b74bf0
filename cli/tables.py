"""Tables that look the same in a terminal and in markdown."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.table import Table
from rich.text import Text

_OPS_SHOWN = 4


@dataclass
class Grid:
    """A table before it is drawn.

    Attributes:
        columns: Their heads; one that opens with `>` is of numbers, and aligned to the right.
        rows: Their cells.
    """

    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)

    def drawn(self) -> Table:
        """For a terminal or a pipe."""
        found = Table(box=None, pad_edge=False, header_style="bold")
        for name in self.columns:
            right = name.startswith(">")
            found.add_column(
                name.removeprefix(">"), justify="right" if right else "left", no_wrap=True
            )
        for row in self.rows:
            found.add_row(*map(Text, row))
        return found

    def markdown(self) -> str:
        """As a table of GitHub's markdown."""
        heads = [name.removeprefix(">") for name in self.columns]
        rules = ["---:" if name.startswith(">") else "---" for name in self.columns]
        return "\n".join(map(_line, [heads, rules, *self.rows]))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def human(count: int) -> str:
    """A count that a person can take in.

    >>> human(22713216)
    '22.7M'
    """
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.1f}{unit}"
    return str(count)


def plural(count: int, word: str) -> str:
    """A count with its word.

    >>> plural(1, "node"), plural(2, "node")
    ('1 node', '2 nodes')
    """
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def counted(counts: Mapping[str, int], most: int | None = _OPS_SHOWN) -> str:
    """Names with their counts, the first few."""
    shown = [f"{name} {count}" for name, count in list(counts.items())[:most]]
    rest = len(counts) - len(shown)
    return ", ".join([*shown, *([f"{rest} more"] if rest else [])])


def ordered(lines: Mapping[str, str]) -> Iterator[str]:
    """Lines of a name and a value, the values below each other."""
    width = max(map(len, lines), default=0)
    yield from (f"{name:<{width}}  {value}" for name, value in lines.items())
