"""How often annotated files agree with eager execution: models x transformations.

    python benchmarks/agreement.py --models bert,t5 --transforms "onnxslim,int8 QDQ, scrambled"

Exports, transformed files and their truth are kept under temp/agreement/, each under the
content of what made it, so that another run only annotates and judges. Patterns with `*` are
understood, and several transformations are separated by semicolons (their names hold commas).
"""

import argparse
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from fnmatch import fnmatchcase
from multiprocessing import get_context
from pathlib import Path

import msgspec
import torch

from agreement.baseline import report_changes
from agreement.cells import Cell, Detail, run_cell
from agreement.plan import TRANSFORMATIONS
from agreement.store import CACHE, ROOT, tools_apart
from agreement.subjects import Subject
from agreement.tables import markdown, summary
from agreement.zoo import ENTRIES

Row = tuple[list[Cell], list[Detail]]


def main() -> None:
    """Run the table, or a part of it, and write it."""
    options = _options()
    if options.fresh and CACHE.exists():
        shutil.rmtree(CACHE)
    CACHE.mkdir(parents=True, exist_ok=True)
    models = _chosen(options.models, ",", ENTRIES)
    names = _chosen(options.transforms, ";", TRANSFORMATIONS)
    start = time.perf_counter()
    cells, details = [], []
    for done, wrong in _rows(models, names, options.jobs, reference=options.reference):
        cells += done
        details += wrong
    cells.sort(key=lambda c: (list(ENTRIES).index(c.model), names.index(c.transform)))
    print(summary(cells))
    print(f"\n{len(cells)} cells in {time.perf_counter() - start:.0f} s")
    if options.details:
        options.details.write_bytes(b"".join(msgspec.json.encode(d) + b"\n" for d in details))
    lines = b",\n".join(msgspec.json.encode(cell) for cell in cells)
    (options.cells or CACHE / "cells.json").write_bytes(b"[\n" + lines + b"\n]\n")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "agreement.md").write_text(markdown(cells), encoding="utf-8")
    if options.baseline:
        sys.exit(report_changes(cells, options.baseline))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--models", help="names or patterns, separated by commas; all by default")
    add("--transforms", help="names or patterns, separated by semicolons; all by default")
    add("--jobs", type=int, default=2, help="processes; 1 runs everything in this one")
    add("--out", type=Path, help="folder for agreement.md, the summary")
    add("--cells", type=Path, help="file for every cell; temp/agreement/cells.json by default")
    add("--baseline", type=Path, help="cells of an earlier run: tell what has other verdicts now")
    add("--details", type=Path, help="file for every node that is not right, a JSON line each")
    add("--fresh", action="store_true", help="drop everything that was kept")
    add("--reference", action="store_true", help="quantised files: the plain file beside them")
    add("--list", action="store_true", help="show the names and stop")
    options = parser.parse_args()
    if options.list:
        print("models:", *ENTRIES, "\ntransformations:", *TRANSFORMATIONS, sep="\n  ")
        sys.exit()
    return options


def _chosen(text: str | None, separator: str, names: Iterable[str]) -> list[str]:
    """The known names that were asked for, in the order of the table."""
    if text is None:
        return list(names)
    patterns = [part.strip() for part in text.split(separator) if part.strip()]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            sys.exit(f"{pattern}: no such name; --list shows them.")
    return [name for name in names if any(fnmatchcase(name, p) for p in patterns)]


def _rows(models: list[str], names: list[str], jobs: int, *, reference: bool) -> Iterator[Row]:
    """What comes of each model; a process that a tool brings down is said, not hidden."""
    if jobs == 1:
        for model in models:
            yield _row(model, names, reference=reference)
        return
    left = set(models)
    try:
        with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
            waiting = {pool.submit(_row, m, names, reference=reference): m for m in models}
            for future in as_completed(waiting):
                yield future.result()
                left.discard(waiting[future])
    except BrokenProcessPool:
        for model in sorted(left):
            yield _row_alone(model, names, reference=reference)


def _row_alone(model: str, names: list[str], *, reference: bool) -> Row:
    """A model in a process of its own, after some tool brought a process down."""
    try:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            return pool.submit(_row, model, names, reference=reference).result()
    except BrokenProcessPool:
        rows = [TRANSFORMATIONS[name] for name in names]
        held_out, said = ENTRIES[model].held_out, "a tool ended the process"
        cells = [Cell(model, held_out, r.name, r.kind, "failed", said) for r in rows]
        return cells, []


def _row(model: str, names: list[str], *, reference: bool) -> Row:
    """Every cell of one model."""
    torch.set_num_threads(1)  # models run beside each other
    subject = Subject(model)
    cells: list[Cell] = []
    details: list[Detail] = []
    start = time.perf_counter()
    with tools_apart():
        for name in names:
            cell, wrong = run_cell(subject, TRANSFORMATIONS[name], reference=reference)
            cells.append(cell)
            details += wrong
    print(f"{model}: {len(cells)} cells in {time.perf_counter() - start:.1f} s", file=sys.stderr)
    return cells, details


if __name__ == "__main__":
    assert ROOT.is_dir()
    main()
