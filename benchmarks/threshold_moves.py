"""Which thresholds of the matcher can be moved without a test that notices."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
TESTS = "tests/rewriter/matching"
THRESHOLDS = Path("modelexport/rewriter/matching/thresholds.py")
FACTOR = 1.5
"""How far a threshold that is no whole number is moved, up and down."""

_SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
_SMALL_TESTS: list[str] = _SETTINGS["pytest_add_cli_args_test_selection"]


class Move(NamedTuple):
    """A threshold that has another value.

    Attributes:
        name: Of the threshold.
        value: Its other value, as source.
        source: The source of all thresholds with this value.
        test: The test that its description names, as pytest takes it.
    """

    name: str
    value: str
    source: str
    test: str


def move_thresholds(jobs: int) -> dict[str, bool]:
    """Whether the tests notice each threshold that is moved.

    Args:
        jobs: How many moves are tested side by side.

    Returns:
        Whether a test fails, by `NAME = VALUE` with the other value.
    """
    moves = list(_moves((ROOT / THRESHOLDS).read_text()))
    with ThreadPoolExecutor(jobs) as pool:
        noticed = pool.map(_noticed, moves)
        return dict(zip([f"{m.name} = {m.value}" for m in moves], noticed, strict=True))


def _moves(source: str) -> Iterator[Move]:
    """Each number among the constants, up and down."""
    body = ast.parse(source).body
    for statement, description in pairwise(body):
        if not isinstance(statement, ast.Assign):
            continue
        name = ast.unparse(statement.targets[0])
        words = re.search(r"Test: `(\S+)`,\s`(\w+)`", ast.literal_eval(ast.unparse(description)))
        if words is None:
            raise ValueError(f"{THRESHOLDS}: the description of {name} names no test")
        for value in _moved(statement.value):
            lines = source.splitlines()
            lines[statement.lineno - 1 : statement.end_lineno] = [f"{name} = {value}"]
            yield Move(name, value, "\n".join(lines) + "\n", f"{TESTS}/{words[1]}::{words[2]}")


def _moved(value: ast.expr) -> Iterator[str]:
    """A constant's value with its number, or one of its numbers, moved down and up."""
    if isinstance(value, ast.Tuple):
        for place, element in enumerate(value.elts):
            before, after = value.elts[:place], value.elts[place + 1 :]
            for other in _moved(element):
                yield f"({', '.join([*map(ast.unparse, before), other, *map(ast.unparse, after)])})"
    elif isinstance(value, ast.Name):  # a number that stands elsewhere
        yield from (f"{value.id} / {FACTOR}", f"{value.id} * {FACTOR}")
    else:
        number = ast.literal_eval(value)
        moved = (number - 1, number + 1) if isinstance(number, int) else ()
        yield from map(repr, moved or (number / FACTOR, number * FACTOR))


def _noticed(move: Move) -> bool:
    """Whether a test fails when a threshold has another value: its own one, else any."""
    skipped = shutil.ignore_patterns("__pycache__")
    with TemporaryDirectory() as place:
        folder = Path(place)
        for part in ("modelexport", "tests", "fixtures_gen", "benchmarks"):
            shutil.copytree(ROOT / part, folder / part, ignore=skipped)
        shutil.copy(ROOT / "pyproject.toml", folder)
        (folder / THRESHOLDS).write_text(move.source)
        if _fails(folder, [move.test]):
            return True
        noticed = _fails(folder, _SMALL_TESTS)
    print(f"{move.name} = {move.value}: {move.test} passes; another fails: {noticed}", flush=True)
    return noticed


def _fails(folder: Path, tests: list[str]) -> bool:
    """Whether one of some tests fails in a copy of this repository."""
    options = ["-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *tests, *options]
    path = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1):
        raise ChildProcessError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.returncode == 1
