"""Every module of some models as a file of its own, and splits: are they equal bit for bit?

    python benchmarks/extraction.py --jobs 2 --out docs        # all models, forms and levels
    python benchmarks/extraction.py bert lstm --levels all --modules 20
    python benchmarks/extraction.py --large FOLDER

Each model is traced and made in four forms: fp32, fp16, int8 dynamic, int8 static. Each form is
checked as it is and as onnxruntime saves it at each level. Every module that has nodes is
extracted and checked, then the file is split into 2, 3 and 8 parts. `--modules` takes only so many
modules of each file, evenly. First the models are made, a process each, then the files are checked,
a process each, the longest first. Rows are written to `--rows` as they are finished; `--out`
writes the page from all rows that are there. `--large` makes a file with 8 GB of external data
(with holes: it takes no space) and measures what extracting one layer of it takes.
"""

import argparse
import logging
import multiprocessing
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path

import msgspec

from attribution.forms import FORMS
from attribution.subjects import SUBJECTS
from bench import LARGE_LAYERS, make_large
from cutting.checks import Row, check_file
from cutting.files import AS_IT_IS, CutFile, make_files
from cutting.page import page
from modelexport import annotate, extract
from modelexport.hierarchy.choices import OptimisationLevel
from peers import BLOCK, LARGE, LARGE_TAGGED

_DEFAULT = [name for name in SUBJECTS if not name.endswith("_full")]
_LEVELS = [AS_IT_IS, *map(str, OptimisationLevel)]
_FOREVER = 1e9


def main() -> int:
    """Print a line for each file; 1 if anything is different."""
    options = _options()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    if options.large is not None:
        options.large.mkdir(parents=True, exist_ok=True)
        measure_large(options.large)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        own = [] if options.report else list(_new_rows(options, options.folder or Path(folder)))
    rows = _sorted(own if options.rows is None else read_rows(options.rows))
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "extraction.md").write_text(page(rows), encoding="utf-8")
    return int(not all(row.good for row in rows))


def _new_rows(options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """The rows of the files, as they are finished."""
    end = time.monotonic() + options.seconds
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(options.jobs, context) as pool:
        make = partial(_made_files, levels=options.levels, folder=folder)
        jobs = [pool.submit(make, name) for name in options.models or _DEFAULT]
        files = [file for job in as_completed(jobs) for file in job.result()]
    files.sort(key=lambda file: -file.weight)
    print(f"{len(files)} files", flush=True)
    with ProcessPoolExecutor(options.jobs, context) as pool:
        check = partial(_checked_file, most=options.modules, end=end)
        for done in as_completed([pool.submit(check, file) for file in files]):
            row = done.result()
            if row is None:
                continue
            _print_row(row)
            if options.rows is not None:
                with options.rows.open("ab") as sink:
                    sink.write(msgspec.json.encode(row) + b"\n")
            yield row


def _made_files(name: str, levels: Sequence[str], folder: Path) -> list[CutFile]:
    """The files of a model; none of a network whose package is not installed."""
    try:
        return list(make_files(name, levels, folder / name))
    except ModuleNotFoundError as error:
        print(f"  {name} is left out: {error}")
        return []


def _checked_file(file: CutFile, most: int | None, end: float) -> Row | None:
    """The row of a file; None where the time is over."""
    return None if time.monotonic() > end else check_file(file, most)


def _print_row(row: Row) -> None:
    splits = ", ".join(f"{parts}: {result}" for parts, result in row.splits.items())
    print(
        f"{row.model}, {row.form}, {row.level}: {row.equal} of {row.tried} equal, "
        f"{len(row.gaps)} not convex, {row.in_subgraph} in a subgraph, {len(row.failed)} failed; "
        f"{splits or 'not recognised'}; {row.seconds:.1f} s",
        flush=True,
    )
    for failure in row.failed:
        print(f"  {failure}", flush=True)


def read_rows(path: Path) -> list[Row]:
    """The newest row of each file."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    rows = [msgspec.json.decode(line, type=Row) for line in lines]
    return list({(row.model, row.form, row.level): row for row in rows}.values())


def _sorted(rows: Iterable[Row]) -> list[Row]:
    models, forms = list(SUBJECTS), list(FORMS)
    return sorted(
        rows, key=lambda r: (models.index(r.model), forms.index(r.form), _LEVELS.index(r.level))
    )


def measure_large(folder: Path) -> None:
    """Extract one layer of a file with 8 GB of external data, beside it and elsewhere."""
    plain, tagged = folder / LARGE, folder / LARGE_TAGGED
    make_large(plain, LARGE_LAYERS)
    annotate(plain, plain.with_suffix(".trace.json"), tagged, force=True)
    (folder / "out").mkdir(exist_ok=True)
    for target in (folder / "part.onnx", folder / "out" / "part.onnx"):
        before = time.perf_counter()
        extract(tagged, BLOCK, target, force=True)
        took = time.perf_counter() - before
        print(f"{BLOCK} to {target.parent.name}/: {took:.2f} s")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("models", nargs="*", help=f"of {', '.join(SUBJECTS)}")
    add("--levels", nargs="*", default=_LEVELS, choices=_LEVELS, help="all by default")
    add("--modules", type=int, help="at most so many modules of each file")
    add("--jobs", type=int, default=1, help="number of processes at a time")
    add("--seconds", type=float, default=_FOREVER, help="after these no new file is begun")
    add("--rows", type=Path, help="file to which rows are added as they are finished")
    add("--folder", type=Path, help="keep the files here")
    add("--report", action="store_true", help="run nothing, only write the page from --rows")
    add("--out", type=Path, help="folder for extraction.md, the page")
    add("--large", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
