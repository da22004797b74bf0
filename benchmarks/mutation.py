"""Which changes of the matcher's code no test notices.

    python benchmarks/mutation.py                          # everything; takes long
    python benchmarks/mutation.py --only '*evidence.names*' --no-thresholds
    python benchmarks/mutation.py --survivors              # again what survived the last run
    python benchmarks/mutation.py --report                 # no run: the results of the last runs
    python benchmarks/mutation.py --generate               # no run: the mutants alone
    python benchmarks/mutation.py --report --codes FILE    # results of `mutant_runs.py` elsewhere

mutmut changes the functions of `rewriter/matching` in one place at a time;
`benchmarks/mutant_runs.py` runs the small tests of `tests/rewriter/matching` that reach the place.
mutmut changes no module constants: each threshold is moved up and down here. A change that all
tests pass is a *survivor*. Each has its reason in `benchmarks/mutation_reasons.toml`, or the run
fails. `docs/mutation.md` is the summary: what it says about a function is replaced when all of
the function's mutants were run.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from threshold_moves import move_thresholds

ROOT = Path(__file__).resolve().parents[1]
MUTANTS = ROOT / "mutants"
REASONS = ROOT / "benchmarks" / "mutation_reasons.toml"
PACKAGE = Path("modelexport/rewriter/matching")
THRESHOLD_RESULTS = MUTANTS / "thresholds.json"
SUMMARY = ROOT / "docs" / "mutation.md"
NO_REASON = "no reason yet"
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
    if options.functions or options.generate:
        _generate(options.jobs)
    if options.generate:
        return
    if options.functions:
        options.codes = MUTANTS / "codes.json"
        only = _survivors() if options.survivors else options.only
        command = [sys.executable, str(ROOT / "benchmarks" / "mutant_runs.py"), "--only", *only]
        command += ["--jobs", str(options.jobs), "--results", str(options.codes)]
        subprocess.run(command, cwd=ROOT, check=True)
    if options.codes:
        _keep_codes(json.loads(options.codes.read_text()))
    if options.thresholds:
        THRESHOLD_RESULTS.parent.mkdir(exist_ok=True)
        THRESHOLD_RESULTS.write_text(json.dumps(move_thresholds(options.jobs)))
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
    add("--survivors", action="store_true", help="only mutants that survived the last run")
    add("--report", action="store_true", help="run nothing; report on the last runs")
    add("--generate", action="store_true", help="run nothing; make the mutants")
    add("--codes", type=Path, help="results of benchmarks/mutant_runs.py to report on")
    options = parser.parse_args()
    if options.report or options.generate:
        options.functions = options.thresholds = False
    return options


def _generate(jobs: int) -> None:
    """Make the folder of mutants; results of functions that did not change are kept."""
    from mutmut.__main__ import (
        copy_also_copy_files,
        copy_src_dir,
        create_mutants,
        set_mutant_under_test,
    )

    os.chdir(ROOT)
    set_mutant_under_test("mutant_generation")
    MUTANTS.mkdir(exist_ok=True)
    shutil.rmtree(MUTANTS / "tests", ignore_errors=True)  # there may be fewer now
    with redirect_stdout(None):
        copy_src_dir()
        copy_also_copy_files()
        create_mutants(jobs)


def _metas() -> Iterator[tuple[Path, dict[str, Any]]]:
    """What mutmut knows about the mutants of each file."""
    for path in sorted((MUTANTS / PACKAGE).rglob("*.meta")):
        if (ROOT / path.relative_to(MUTANTS)).with_suffix("").exists():
            yield path, json.loads(path.read_text())


def _survivors() -> list[str]:
    """The mutants that were run and not killed."""
    return [
        name
        for _, meta in _metas()
        for name, code in meta["exit_code_by_key"].items()
        if _survives(code)
    ]


def _survives(code: int | None) -> bool:
    """Whether a mutant was run and no test failed."""
    return code is not None and code not in _KILLED | _TIMEOUTS


def _keep_codes(codes: dict[str, int]) -> None:
    """Note exit codes beside the mutants, where later reports find them."""
    for path, meta in _metas():
        known: dict[str, int | None] = meta["exit_code_by_key"]
        meta["exit_code_by_key"] = {name: codes.get(name, code) for name, code in known.items()}
        path.write_text(json.dumps(meta))


def _results() -> dict[str, FileResults]:
    """The results of the last runs, by file."""
    results: dict[str, FileResults] = {}
    for path, meta in _metas():
        codes = meta["exit_code_by_key"]
        if codes:
            file = str(path.relative_to(MUTANTS / PACKAGE))[: -len(".py.meta")]
            results[file] = _results_of(path.with_suffix("").relative_to(MUTANTS), codes)
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
    survivors = [
        _survivor(name, source, covered=code == 0)
        for name, code in codes.items()
        if _survives(code)
    ]
    functions = set(map(_readable, codes))
    untested = {_readable(name) for name, code in codes.items() if code is None}
    return FileResults(len(codes), functions, functions - untested, survivors)


def _survivor(name: str, source: Path, *, covered: bool) -> Survivor:
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    lines = get_diff_for_mutant(name, path=source).splitlines()[2:]
    return Survivor(_readable(name), _text(lines, "-"), _text(lines, "+"), covered)


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
