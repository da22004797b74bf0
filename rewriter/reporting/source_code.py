"""The code around source lines, read from a folder that the user names."""

from collections.abc import Iterable
from pathlib import Path

from modelexport.hierarchy.source_lines import split_line
from modelexport.rewriter.reporting.report_data import CodeLines
from modelexport.support.real_paths import real_path

CONTEXT_LINES = 3
"""Number of lines that are shown before a source line, and after it."""


def code_around(lines: Iterable[str], folder: Path) -> dict[str, CodeLines]:
    """The code around each source line whose file is in a folder.

    Args:
        lines: The source lines, as `file:line`.
        folder: The folder of the files. No file outside of it is read, whatever the lines say.
    """
    root = real_path(folder)
    texts: dict[str, list[str]] = {}
    code = {}
    for line in lines:
        location = split_line(line)
        if location is None:
            continue
        file, number = location
        if file not in texts:
            texts[file] = _text(root, file)
        first = max(1, number - CONTEXT_LINES)
        if number <= len(texts[file]):
            code[line] = CodeLines(first, texts[file][first - 1 : number + CONTEXT_LINES])
    return code


def _text(root: Path, file: str) -> list[str]:
    """The lines of a Python file of a folder; none where no such file can be read there."""
    try:
        path = real_path(root / file)
        if path.suffix != ".py" or not path.is_relative_to(root) or not path.is_file():
            return []
        return path.read_text("utf-8", errors="replace").splitlines()
    except (OSError, ValueError):
        return []  # no file can have such a name, or it may not be read
