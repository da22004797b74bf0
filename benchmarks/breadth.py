"""Every model type of transformers: built small, run on generated inputs, traced and judged.

    python benchmarks/breadth.py --types "bert,*_vision" --until inputs
    python benchmarks/breadth.py --jobs 16 --seconds 300 --rows rows.jsonl

Each type has a process of its own. Rows are kept in a file, one JSON line each, as soon as they
are known, with the code and the versions that they depend on. Another run continues: it does only
what is missing or has changed. Files of several machines can be joined with `cat`.
"""

import argparse
import hashlib
import importlib.metadata
import os
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import msgspec
import transformers.modeling_utils  # noqa: F401 - what is loaded before the fork is loaded once

from breadth import steps
from breadth.building import model_types
from breadth.row import Row
from breadth.steps import Stage
from breadth.tables import markdown, summary
from breadth.worker import Limits, run_all
from modelexport.errors import ModelExportError
from modelexport.tracer.preload import preload

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "temp" / "breadth"
_CODE = ("tracer", "rewriter", "hierarchy", "support", "fixtures_gen", "benchmarks/breadth")
_LIBRARIES = ("torch", "transformers", "onnx", "onnxruntime", "onnxscript", "numpy")
_FOREVER = 1 << 30
"""Seconds, where there is no budget."""


def main() -> None:
    """Run the types whose rows are missing, and write the summary."""
    options = _options()
    path = options.rows or FOLDER / ("inputs.jsonl" if options.until == "inputs" else "rows.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    patterns = options.types.split(",")
    types = [t for t in model_types() if any(fnmatchcase(t, p) for p in patterns)]
    types.sort(key=lambda name: hashlib.sha256(name.encode()).digest())  # a part is a fair sample
    types = types[: options.count]
    rows = read_rows(path)
    if not options.report:
        for row in _new_rows(types, rows, options):
            rows[row.model_type] = row
            with path.open("ab") as file:
                file.write(msgspec.json.encode(row) + b"\n")
            print(f"{row.model_type}: {row.status} {row.seconds} s {row.reason[:150]}", flush=True)
    done = [rows[name] for name in types if name in rows]
    print(summary(done))
    if options.out:
        text = markdown(done, len(types), current=code_key())
        (options.out / "breadth.md").write_text(text, encoding="utf-8")


def _new_rows(types: list[str], rows: dict[str, Row], options: argparse.Namespace) -> Iterator[Row]:
    """The rows of the types that are missing or have changed, as they are finished."""
    start = time.monotonic()
    key, versions = code_key(), _versions()
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # processes that are forked cannot use a GPU
    todo = [n for n in types if not _is_kept(rows.get(n), key, versions, options.keep)]
    if not todo:
        return
    todo.sort(key=lambda name: rows[name].seconds if name in rows else 0)  # what is new comes first
    warnings.filterwarnings("ignore")
    _load_libraries(steps.EXPORTERS if options.until is Stage.JUDGED else ())
    work = partial(steps.run_type, until=options.until, seconds=options.type_seconds)
    yield from run_all(
        [Row(name, key, versions) for name in todo],
        work,
        Limits(options.type_seconds, options.gigabytes),
        jobs=options.jobs,
        budget=options.seconds - (time.monotonic() - start),
    )


def _load_libraries(exporters: Sequence[str]) -> None:
    """Load what processes need before they are forked.

    An exporter that does not work on this machine is told; the rows say the same.
    """
    preload(())
    for exporter in exporters:
        try:
            preload((exporter,))
        except ModelExportError as error:
            print(f"{exporter}: {error}", file=sys.stderr)


def _is_kept(row: Row | None, key: str, versions: dict[str, str], keep: str) -> bool:
    """Whether a row stands: made by this code, or by other code where the user keeps it."""
    if row is None:
        return False
    good = row.status in {"ran", "judged", "recorded"} and not (row.wrong or row.faults)
    same = (row.key, row.versions) == (key, versions)
    return same or keep == "all" or (keep == "good" and good)


def read_rows(path: Path) -> dict[str, Row]:
    """The newest row of each type."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    return {row.model_type: row for row in (msgspec.json.decode(x, type=Row) for x in lines)}


def code_key() -> str:
    """Digest of the code that rows depend on."""
    digest = hashlib.sha256()
    for folder in _CODE:
        for file in sorted((ROOT / folder).rglob("*.py")):
            if file.name != "tables.py":
                digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _LIBRARIES}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--types", default="*", help="names or patterns, separated by commas; all by default")
    add("--count", type=int, help="only the first so many of these, in the order of a digest")
    add("--until", type=Stage, choices=list(Stage), default=Stage.JUDGED, help="the last stage")
    add("--jobs", type=int, default=1, help="number of processes at a time")
    add("--seconds", type=float, default=_FOREVER, help="after these no new type is begun")
    add("--type-seconds", type=int, default=120, help="limit of processor time for one type")
    add("--gigabytes", type=int, default=8, help="limit of address space for one type")
    add("--rows", type=Path, help="file of the rows; temp/breadth/rows.jsonl by default")
    add("--out", type=Path, help="folder for breadth.md, the summary")
    add("--report", action="store_true", help="run nothing, only summarise the rows there are")
    add(
        "--keep", choices=["none", "good", "all"], default="none", help="rows of other code to keep"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
