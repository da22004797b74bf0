"""Every model type of transformers: built small, run on generated inputs, traced and judged.

    python benchmarks/breadth.py --types "bert,*_vision" --inputs-only

Each type has a process of its own. Rows are kept in temp/breadth, one JSON line each, under the
code and the versions that they depend on, so that another run does only what has changed.
"""

import argparse
import hashlib
import importlib.metadata
import sys
import warnings
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import msgspec
import onnxruntime  # noqa: F401 - what is loaded before the fork is loaded once
import torch
import torch.onnx
import transformers.modeling_utils  # noqa: F401 - see above

from breadth import steps
from breadth.building import model_types
from breadth.row import Row
from breadth.tables import markdown, summary
from breadth.worker import run_apart

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "temp" / "breadth"
_CODE = ("tracer", "rewriter", "hierarchy", "support", "fixtures_gen", "benchmarks/breadth")
_LIBRARIES = ("torch", "transformers", "onnx", "onnxruntime", "onnxscript", "numpy")


def main() -> None:
    """Run the types whose rows are missing, and write the summary."""
    options = _options()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / ("inputs.jsonl" if options.inputs_only else "rows.jsonl")
    patterns = options.types.split(",")
    types = [t for t in model_types() if any(fnmatchcase(t, p) for p in patterns)]
    types.sort(key=lambda name: hashlib.sha256(name.encode()).digest())  # a part is a fair sample
    key = code_key()
    rows = read_rows(path)
    work = partial(steps.run_type, inputs_only=options.inputs_only)
    for number, name in enumerate(types, 1):
        if options.report or _is_kept(rows.get(name), key, options.keep):
            continue
        limits = {"seconds": options.seconds, "gigabytes": options.gigabytes}
        row = rows[name] = run_apart(Row(name, key), work, **limits)
        with path.open("ab") as file:
            file.write(msgspec.json.encode(row) + b"\n")
        print(f"{number}/{len(types)} {name}: {row.status} {row.seconds} s {row.reason[:150]}")
        sys.stdout.flush()
    done = [rows[name] for name in types if name in rows]
    print(summary(done))
    if options.out:
        text = markdown(done, len(types), current=key, versions=_versions())
        (options.out / "breadth.md").write_text(text, encoding="utf-8")


def _is_kept(row: Row | None, key: str, keep: str) -> bool:
    """Whether a row stands: made by this code, or by other code where the user keeps it."""
    if row is None:
        return False
    good = row.status in {"ran", "judged", "recorded"} and not (row.wrong or row.faults)
    return row.key == key or keep == "all" or (keep == "good" and good)


def read_rows(path: Path) -> dict[str, Row]:
    """The newest row of each type."""
    lines = path.read_bytes().splitlines() if path.exists() else []
    return {row.model_type: row for row in (msgspec.json.decode(x, type=Row) for x in lines)}


def code_key() -> str:
    """Digest of the code and of the versions that rows depend on."""
    digest = hashlib.sha256(repr(_versions()).encode())
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
    add("--inputs-only", action="store_true", help="stop when a model has run on its inputs")
    add("--seconds", type=int, default=120, help="limit of processor time for one type")
    add("--gigabytes", type=int, default=10, help="limit of address space for one type")
    add("--out", type=Path, help="folder for breadth.md, the summary")
    add("--report", action="store_true", help="run nothing, only summarise the rows there are")
    add(
        "--keep", choices=["none", "good", "all"], default="none", help="rows of other code to keep"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
