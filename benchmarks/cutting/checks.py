"""Checking a file: every module as a part, and splits."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from cutting.files import CutFile
from modelexport import UsageError, extract, split
from modelexport.errors import ModelExportError
from modelexport.rewriter.annotation.placed_file import PlacedFile

_SPLITS = (2, 3, 8)


class Row(msgspec.Struct):
    """What came of one file.

    Attributes:
        model, form, level: See `CutFile`.
        recognised: Whether `annotate` knew the file.
        with_nodes: Number of its modules that have nodes, or hold some that have.
        tried: Number of these that were extracted.
        equal: Number of those whose part equals the whole, bit for bit.
        completed: Number of parts that have nodes besides those of their tags.
        gaps: The modules that are not convex, with the nodes between as the error names them.
        in_subgraph: Number of modules that run in a branch or loop.
        failed: Modules and splits that failed, with the reason.
        splits: The result of each number of parts.
        seconds: Processor time of all this.
    """

    model: str
    form: str
    level: str
    recognised: bool = True
    with_nodes: int = 0
    tried: int = 0
    equal: int = 0
    completed: int = 0
    gaps: dict[str, str] = {}
    in_subgraph: int = 0
    failed: list[str] = []
    splits: dict[str, str] = {}
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether nothing failed."""
        return self.recognised and not self.failed


def check_file(file: CutFile, most: int | None = None) -> Row:
    """Extract and check every module of a file, then split it.

    Args:
        file: The file.
        most: Extract at most so many modules, evenly; None for all.
    """
    row, path = Row(file.model, file.form, file.level), Path(file.path)
    if not path.exists():
        row.recognised = False
        return row
    start = time.process_time()
    modules = modules_of(path)
    chosen = _evenly(modules, most)
    row.with_nodes, row.tried = len(modules), len(chosen)
    for module in chosen:
        _check_module(row, path, module)
    for parts in _SPLITS:
        _check_split(row, path, parts)
    row.seconds = time.process_time() - start
    return row


def modules_of(path: Path) -> list[str]:
    """Paths of the modules that have nodes, or hold some that have."""
    with PlacedFile.open(path) as file:
        modules = sorted({m for m in file.modules if m})
    for module in list(modules):
        steps = module.split(".")
        modules += [".".join(steps[:count]) for count in range(1, len(steps))]
    return list(dict.fromkeys(modules))


def _evenly(modules: Sequence[str], most: int | None) -> list[str]:
    step = 1 if most is None else max(1, len(modules) / most)
    return [modules[int(place * step)] for place in range(int(len(modules) / step))]


def _check_module(row: Row, path: Path, module: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            part = extract(path, module, Path(folder, "part.onnx"), check=True)
        except UsageError as error:
            _, is_gap, nodes = str(error).partition("through nodes outside of it: ")
            if is_gap:
                row.gaps[module] = nodes.rpartition(". Take")[0]
            elif "inside a branch" in str(error):
                row.in_subgraph += 1
            else:
                row.failed.append(f"{module}: {error}")
        except ModelExportError as error:
            row.failed.append(f"{module}: {error}")
        else:
            row.equal += bool(part.equal)
            row.completed += any("ran between those of the module" in n for n in part.notes)
            if not part.equal:
                row.failed.append(f"{module}: differs in {part.different}")


def _check_split(row: Row, path: Path, parts: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            equal = split(path, Path(folder, "parts"), parts, check=True).equal
        except ModelExportError as error:
            row.splits[str(parts)] = "refused"
            if "cannot be" not in str(error):
                row.failed.append(f"{parts} parts: {error}")
        else:
            row.splits[str(parts)] = "equal" if equal else "DIFFERENT"
            if not equal:
                row.failed.append(f"{parts} parts differ")
