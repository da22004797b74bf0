"""Which changes of the matcher's code no test notices.

    python benchmarks/mutation.py                          # everything; takes long
    python benchmarks/mutation.py --only '*evidence.names*' --no-thresholds
    python benchmarks/mutation.py --report                 # no run: the results of the last runs

mutmut changes the functions of `rewriter/matching` in one place at a time and runs the small
tests of `tests/rewriter/matching` that reach the place. Module constants are beyond it: each
threshold is moved up and down here. A change that all tests pass is a *survivor*. Each has its
reason in `benchmarks/mutation_reasons.toml`, or the run fails. `docs/mutation.md` is the summary:
what it says about a function is replaced when all of the function's mutants were run.
"""

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
MUTANTS = ROOT / "mutants"
REASONS = ROOT / "benchmarks" / "mutation_reasons.toml"
TESTS = "tests/rewriter/matching"
PACKAGE = Path("modelexport/rewriter/matching")
THRESHOLDS = PACKAGE / "thresholds.py"
THRESHOLD_RESULTS = MUTANTS / "thresholds.json"
SUMMARY = ROOT / "docs" / "mutation.md"
NO_REASON = "no reason yet"
FACTOR = 1.5
"""How far a threshold that is no whole number is moved, up and down."""

_SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]
_SMALL_TESTS: list[str] = _SETTINGS["pytest_add_cli_args_test_selection"]

_KILLED = {1, 3}
"""Exit codes of pytest: a test failed, or an error inside pytest."""
_TIMEOUTS = {-24, 24, 36, 152, 255}
"""A mutant that never ends is noticed, too."""


class Survivor(NamedTuple):
    """A change that all tests pass.

    Attributes:
        where: Module and function, without `modelexport.rewriter.matching`.
        removed, added: The changed lines as they were, and as they became.
        covered: Whether any test reaches the place.
    """

    where: str
    removed: str
    added: str
    covered: bool


class FileResults(NamedTuple):
    """The results of the last runs for one file.

    Attributes:
        mutants: How many changes there are, run or not.
        functions: All functions that were changed.
        tested: Those of them of which every change was run.
        survivors: The changes that all tests passed.
    """

    mutants: int
    functions: set[str]
    tested: set[str]
    survivors: list[Survivor]


Page = dict[str, tuple[int, dict[str, Counter[str]]]]
"""The summary: of each file the number of mutants, and of its survivors how many have a reason,
by reason and function."""


def main() -> None:
    """Run, sum up, and fail where a survivor has no reason."""
    options = _options()
    if options.functions:
        command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(options.jobs)]
        subprocess.run([*command, *options.only], cwd=ROOT, check=False)
    if options.thresholds:
        THRESHOLD_RESULTS.parent.mkdir(exist_ok=True)
        THRESHOLD_RESULTS.write_text(json.dumps(_move_thresholds(options.jobs)))
    results = _results()
    reasons = tomllib.loads(REASONS.read_text())["reason"]
    survivors = [survivor for file in results.values() for survivor in file.survivors]
    unexplained = [survivor for survivor in survivors if _reason_for(survivor, reasons) is None]
    SUMMARY.write_text(_summary(_updated(_read_page(SUMMARY.read_text()), results, reasons)))
    for survivor in unexplained:
        print(f"\n{survivor.where}{'' if survivor.covered else ' (no test reaches it)'}")
        print(f"  - {survivor.removed}\n  + {survivor.added}")
    print(f"\n{len(survivors)} changes survive, {len(unexplained)} of them without a reason")
    sys.exit(bool(unexplained))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", nargs="*", default=[], help="patterns of mutants' names; all by default")
    add("--jobs", type=int, default=2, help="mutants that are tested side by side")
    add("--no-thresholds", dest="thresholds", action="store_false", help="functions alone")
    add("--no-functions", dest="functions", action="store_false", help="thresholds alone")
    add("--report", action="store_true", help="run nothing; report on the last runs")
    options = parser.parse_args()
    if options.report:
        options.functions = options.thresholds = False
    return options


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


def _move_thresholds(jobs: int) -> dict[str, bool]:
    """Whether the tests notice each threshold moved; by its name and its other value."""
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
    options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *tests, *options]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1):
        raise ChildProcessError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.returncode == 1


def _results() -> dict[str, FileResults]:
    """The results of the last runs, by file."""
    results: dict[str, FileResults] = {}
    package = MUTANTS / PACKAGE
    for meta in sorted(package.rglob("*.meta")):
        codes = json.loads(meta.read_text())["exit_code_by_key"]
        if codes:
            path = str(meta.relative_to(package))[: -len(".py.meta")]
            results[path] = _results_of(meta.with_suffix("").relative_to(MUTANTS), codes)
    if THRESHOLD_RESULTS.exists():
        moves = json.loads(THRESHOLD_RESULTS.read_text())
        survivors = [
            Survivor("thresholds", "", move, covered=True)
            for move, noticed in moves.items()
            if not noticed
        ]
        results["thresholds"] = FileResults(len(moves), {"thresholds"}, {"thresholds"}, survivors)
    return results


def _results_of(source: Path, codes: dict[str, int | None]) -> FileResults:
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    survivors = []
    for name, code in codes.items():
        if code is not None and code not in _KILLED | _TIMEOUTS:
            lines = get_diff_for_mutant(name, path=source).splitlines()[2:]
            removed, added = (_text(lines, sign) for sign in "-+")
            survivors.append(Survivor(_readable(name), removed, added, code == 0))
    functions = set(map(_readable, codes))
    untested = {_readable(name) for name, code in codes.items() if code is None}
    return FileResults(len(codes), functions, functions - untested, survivors)


def _text(lines: list[str], sign: str) -> str:
    return " ".join(line[1:].strip() for line in lines if line.startswith(sign))


def _readable(mutant: str) -> str:
    """Module, class and function of a mutant."""
    name = mutant.removeprefix("modelexport.rewriter.matching.").partition("__mutmut_")[0]
    module, _, function = name.rpartition(".")
    function = (
        function.removeprefix("x_") if "ǁ" not in function else function[2:].replace("ǁ", ".")
    )
    return f"{module}.{function}"


def _reason_for(survivor: Survivor, reasons: list[dict[str, str]]) -> str | None:
    """The reason of the first entry whose patterns the survivor fits."""
    for entry in reasons:
        if (
            fnmatchcase(survivor.where, entry.get("where", "*"))
            and entry.get("removed", "") in survivor.removed
            and entry.get("added", "") in survivor.added
        ):
            return entry["why"]
    return "the wording of a message" if _is_wording(survivor) else None


def _is_wording(survivor: Survivor) -> bool:
    """Whether nothing but text inside string literals of a message changed."""
    blank = re.compile(r'(?:[rbf]?"(?:[^"\\]|\\.)*"|[rbf]?\'(?:[^\'\\]|\\.)*\')')
    texts = blank.findall(survivor.removed)
    return blank.sub("''", survivor.removed) == blank.sub("''", survivor.added) and any(
        " " in text for text in texts
    )


def _updated(page: Page, results: dict[str, FileResults], reasons: list[dict[str, str]]) -> Page:
    """A page with the results of the functions of which every mutant was run."""
    updated = dict(page)
    for file, file_results in results.items():
        if file not in page and file_results.functions != file_results.tested:
            continue
        groups: dict[str, Counter[str]] = defaultdict(Counter)
        for why, places in page.get(file, (0, {}))[1].items():
            for where in places.keys() & (file_results.functions - file_results.tested):
                groups[why][where] = places[where]
        for survivor in file_results.survivors:
            if survivor.where in file_results.tested:
                groups[_reason_for(survivor, reasons) or NO_REASON][survivor.where] += 1
        updated[file] = file_results.mutants, groups
    return updated


def _file_of(where: str, files: Iterable[str]) -> str | None:
    """The file of a survivor; None when it is none of some files."""
    path = where.replace(".", "/")
    return next((file for file in files if f"{path}/".startswith(f"{file}/")), None)


def _read_page(text: str) -> Page:
    """A summary that was written before, without the files that are gone."""
    rows = re.findall(r"^\| (\S+) \| (\d+) \| \d+ \| \d+ \|$", text, re.MULTILINE)
    page: Page = {
        file: (int(mutants), defaultdict(Counter))
        for file, mutants in rows
        if (ROOT / PACKAGE / f"{file}.py").exists()
    }
    for why, places in re.findall(r"^\*\*\d+: (.+)\*\*\n\n(.+)$", text, re.MULTILINE):
        for where, count in re.findall(r"`([^`]+)` (\d+)", places):
            file = _file_of(where, page)
            if file is not None:
                page[file][1][why][where] += int(count)
    return page


def _summary(page: Page) -> str:
    lines = [
        "# Mutation testing of the matcher",
        "",
        "`make mutation` writes this page. mutmut changes the code of `rewriter/matching` in one",
        "place at a time and runs the small tests that reach the place; each threshold is moved up",
        "and down. A change that all tests pass is a survivor. Each needs a reason; see below.",
        "",
        "| file | mutants | killed | survived |",
        "|---|---|---|---|",
    ]
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    mutants = 0
    for file, (count, reasons) in sorted(page.items()):
        mutants += count
        lines.append(_row(file, count, sum(places.total() for places in reasons.values())))
        for why, places in reasons.items():
            groups[why] += places
    lines += [_row("all", mutants, sum(places.total() for places in groups.values()))]
    lines += ["", "## Survivors", ""]
    for why, places in sorted(groups.items(), key=lambda item: (-item[1].total(), item[0])):
        listed = ", ".join(f"`{where}` {count}" for where, count in sorted(places.items()))
        lines += [f"**{places.total()}: {why}**", "", listed, ""]
    return "\n".join(lines)


def _row(file: str, mutants: int, survived: int) -> str:
    return f"| {file} | {mutants} | {mutants - survived} | {survived} |"


if __name__ == "__main__":
    main()
