"""How much of a profile's time is at the right module: by model, precision and level.

    python benchmarks/profile_attribution.py net.annotated.onnx ... [--out docs/profiling.md]

Each file is made in several precisions, given path names, and profiled at every level. Columns:
share of node time below the root; share at a wrong layer, where onnxruntime kept a path name that
tells the layer; the largest difference of a module above 1 % of the time between two profiles;
seconds that `profile` takes besides the runs.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from modelexport import Inject, Profile, annotate, profile
from modelexport.hierarchy.choices import OptimisationLevel

HEADS = (
    *("file", "precision", "level", "nodes", "below the root", "wrong layer", "two profiles"),
    "overhead",
)
_LARGE = 0.01
"""Share of the time from which a module is compared between two profiles."""


def precisions(path: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """The file in each precision, annotated and with path names."""
    plain = {"fp32": path, "fp16": folder / "fp16.onnx", "int8": folder / "int8.onnx"}
    from onnxruntime.transformers import float16

    half = float16.convert_float_to_float16(onnx.load(path), keep_io_types=True)
    onnx.save(half, plain["fp16"])
    quantize_dynamic(path, plain["int8"], weight_type=QuantType.QInt8)
    for name, file in plain.items():
        target = folder / f"{path.stem}.{name}.onnx"
        inject = [Inject.METADATA, Inject.NAMES]
        annotate(file, None, target, inherit_from=path, inject=inject, force=True)
        yield name, target


def layer_of(path: str) -> str | None:
    """A module path up to its first number; None where it has none."""
    steps = path.split(".")
    number = next((n for n, step in enumerate(steps) if step.isdigit()), None)
    return None if number is None else ".".join(steps[: number + 1])


def wrong_layer(result: Profile, path: Path) -> float:
    """Share of node time at another layer than the path names of onnxruntime's nodes tell."""
    graph = onnx.load(path, load_external_data=False).graph
    names = sorted((n.name for n in graph.node if n.name.startswith("/")), key=len, reverse=True)
    wrong = 0.0
    for node in result.nodes:
        name = next((name for name in names if name in node.name), None)
        if name is None or node.module is None:
            continue
        expected = layer_of(name.strip("/").rpartition("/")[0].replace("/", "."))
        charged = layer_of(node.module)
        if expected and charged and expected != charged:
            wrong += node.time
    return wrong / (result.node_time or 1.0)


def difference(a: Profile, b: Profile) -> float:
    """The largest relative difference of a module's time between two profiles."""
    others = {row.tag: row.time for row in b.modules}
    large = [row for row in a.modules if row.share > _LARGE and row.tag in others]
    return max((abs(others[row.tag] / row.time - 1) for row in large), default=0.0)


def rows(path: Path, folder: Path, runs: int) -> Iterator[list[str]]:
    """A row for each precision and level of a file."""
    for precision, file in precisions(path, folder):
        for level in OptimisationLevel:
            start = time.perf_counter()
            first = profile(file, level=level, runs=runs, threads=1)
            seconds = time.perf_counter() - start
            overhead = seconds - (runs + 5) * (first.run_time or 0.0) / 1e6
            second = profile(file, level=level, runs=runs, threads=1)
            figures = [first.attributed, wrong_layer(first, file), difference(first, second)]
            texts = [f"{figure:.1%}" for figure in figures]
            head = [path.name.partition(".")[0], precision, level.value, str(len(first.nodes))]
            yield [*head, *texts, f"{overhead:.1f} s"]


def main() -> None:
    """Print the table, or write it below the text of a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="annotated files in fp32")
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--out", type=Path, help="the page whose table is replaced")
    arguments = parser.parse_args()
    lines = ["| " + " | ".join(HEADS) + " |", "|" + " --- |" * len(HEADS)]
    with tempfile.TemporaryDirectory() as name:
        for path in arguments.files:
            for row in rows(path, Path(name), arguments.runs):
                lines.append("| " + " | ".join(row) + " |")
                print(lines[-1], flush=True)
    if arguments.out is not None:
        text = arguments.out.read_text().partition("\n| ")[0].rstrip()
        arguments.out.write_text("\n".join([text, "", *lines, ""]))


if __name__ == "__main__":
    main()
