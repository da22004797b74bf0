"""The nodes behind which some lines of Python are."""

from collections.abc import Collection, Iterator
from difflib import get_close_matches
from typing import NamedTuple

from modelexport.errors import UsageError
from modelexport.hierarchy.source_lines import split_line
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.support.error_texts import listed
from modelexport.support.numerals import is_numeral

_SHOWN = 5
"""Maximum number of lines that an error lists."""


class LineRange(NamedTuple):
    """Lines of a Python file.

    Attributes:
        file: The file, or the end of its path: `net.py`.
        first, last: Numbers of the first and the last line; None for the whole file.
    """

    file: str
    first: int | None = None
    last: int | None = None

    def contains(self, line: str) -> bool:
        """Whether a source line (`file:line`) is one of them."""
        location = split_line(line)
        if location is None:
            return False
        file, number = location
        if file != self.file and not file.endswith(f"/{self.file}"):
            return False
        return self.first is None or self.first <= number <= (self.last or self.first)


def parse_lines(text: str) -> LineRange:
    """The lines that a user means.

    >>> parse_lines("net.py:12")
    LineRange(file='net.py', first=12, last=12)
    >>> parse_lines("models/net.py").first is None
    True
    >>> parse_lines("net.py:12-20").last
    20

    Raises:
        UsageError: It has another form.
    """
    file, colon, numbers = text.rpartition(":")
    if not colon:
        file, numbers = text, ""
    first, dash, last = numbers.partition("-")
    if not file or (colon and not is_numeral(first)) or (dash and not is_numeral(last)):
        raise UsageError(f"{text!r} is no source line: write FILE:N, FILE:N-M or FILE.")
    if not first:
        return LineRange(file)
    return LineRange(file, int(first), int(last or first))


def nodes_of_lines(file: PlacedFile, texts: Collection[str]) -> set[int]:
    """The nodes behind which one of some source lines is.

    Args:
        file: The file.
        texts: Source lines as users write them, see `parse_lines`.

    Raises:
        UsageError: The file has no source lines, or none of a given kind.
    """
    if not any(file.source_lines):
        raise UsageError(
            f"{file.path}: no source lines are known. Give --record RECORD, or annotate the file "
            "with --source-lines."
        )
    nodes: set[int] = set()
    for text in texts:
        lines = parse_lines(text)
        matches = {
            n for n, of_node in enumerate(file.source_lines) if any(map(lines.contains, of_node))
        }
        if not matches:
            raise UsageError(f"{file.path}: no node is of {text}. {_hint(file, lines)}")
        nodes |= matches
    return nodes


def _hint(file: PlacedFile, lines: LineRange) -> str:
    """The lines of the same file that have nodes, or similar files."""
    every = dict.fromkeys(line for of_node in file.source_lines for line in of_node)
    same_file = [line for line in every if LineRange(lines.file).contains(line)]
    if same_file and lines.first is not None:
        nearest = sorted(same_file, key=lambda line: _distance(line, lines.first or 0))
        return f"Lines of this file with nodes: {listed(_without_path(nearest), _SHOWN)}."
    files = list(dict.fromkeys(_files(every)))
    similar = get_close_matches(lines.file, files, _SHOWN, 0.3)
    return f"Files with nodes: {listed(list(dict.fromkeys([*similar, *files])), _SHOWN)}."


def _without_path(lines: list[str]) -> list[str]:
    """Lines of one file as numbers; those of several as they are."""
    if len(set(_files(lines))) > 1:
        return lines
    return [str(location[1]) for line in lines if (location := split_line(line)) is not None]


def _files(lines: Collection[str]) -> Iterator[str]:
    for line in lines:
        location = split_line(line)
        if location is not None:
            yield location[0]


def _distance(line: str, number: int) -> int:
    location = split_line(line)
    return 0 if location is None else abs(location[1] - number)
