"""How much of a profile's time is at the right module: by model, precision and level.

    python benchmarks/profile_attribution.py                       # all models but the largest
    python benchmarks/profile_attribution.py bert lstm --out docs/profiling.md

Each model is traced, made in four precisions, given path names and profiled twice at every level.
Columns: nodes of the file; share of node time below the root, at each level; the largest share in
nodes that the record places in the root's own forward, and in nodes that are neither; share that is
judged, and share at a wrong layer, by the path names and the names of values that onnxruntime kept;
the largest difference of a module above 1 % of the time between the two profiles, in time and in
its share of all node time, at each level;
processor time of `profile` outside of onnxruntime's sessions that run the file; seconds that it
takes besides the runs, with the creation of the sessions. With --out, the rows of the page's table
are replaced.

Times are those of one thread. Nothing else should run on the machine.
"""

import argparse
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import onnx

from attribution.forms import FORMS
from attribution.subjects import SUBJECTS, make_subject
from modelexport import Inject, Profile, annotate, profile, trace
from modelexport.hierarchy.choices import OptimisationLevel
from modelexport.hierarchy.profile_options import ProfileOptions
from modelexport.hierarchy.record import Record
from modelexport.rewriter.execution import profiled_run
from modelexport.rewriter.profiling import measured_profile

HEADS = (
    *("file", "precision", "nodes", "below the root: disable / basic / extended / all"),
    *("root's own work", "lost", "judged", "wrong layer"),
    *("two profiles, time: disable / basic / extended / all", "two profiles, share", "runs"),
    *("processor time", "besides the runs"),
)
_LARGE = 0.01
"""Share of the time from which a module is compared between two profiles."""
_DEFAULT = [name for name in SUBJECTS if not name.endswith("_full")]


@dataclass(frozen=True)
class LevelFigures:
    """What was measured at one level: shares from 0 to 1, and seconds.

    Attributes:
        below_root: Share of node time below the root.
        root_work: Share in nodes that the record places in the root's own forward.
        judged, wrong: Share of nodes whose names tell a layer; share at another layer than that.
        difference: The largest difference of a module's time between two profiles; its name is
            `module`.
        share_difference: The largest difference of a module's share of all node time.
        runs: Number of measured runs.
        processor: Seconds of processor time that a profile took outside of the sessions that run
            the file.
        overhead: Seconds that a profile took besides the runs.
    """

    below_root: float
    root_work: float
    judged: float
    wrong: float
    difference: float
    module: str
    share_difference: float
    runs: int
    processor: float
    overhead: float

    @property
    def lost(self) -> float:
        """Share of node time that should be below the root and is not."""
        return max(0.0, 1 - self.below_root - self.root_work)


def layer_of(path: str) -> str | None:
    """A module path up to its first number; None where it has none."""
    steps = path.split(".")
    number = next((n for n, step in enumerate(steps) if step.isdigit()), None)
    return None if number is None else ".".join(steps[: number + 1])


def judge_layers(result: Profile, path: Path) -> tuple[float, float]:
    """Share of node time whose layer is known by path names, and share at another layer.

    A name tells a layer where the node's own name begins with it (`/h.0/MatMul/Fusion`, `fused
    /h.0/Conv`). A cast that onnxruntime puts between two layers carries the name of the value that
    it casts (`Cast_/h.0/Add_output_0`): it is none of the nodes that had a path name.
    """
    graph = onnx.load(path, load_external_data=False).graph
    named = [node for node in graph.node if node.name.startswith("/")]
    names = sorted((node.name for node in named), key=len, reverse=True)
    values = {name: node.name for node in named for name in node.output}
    judged = wrong = 0.0
    for node in result.nodes:
        name = next((name for name in names if f" {name}" in f" {node.name}"), None)
        name = name or _named_after_value(node.name, values)
        if name is None or node.module is None:
            continue
        expected = layer_of(name.strip("/").rpartition("/")[0].replace("/", "."))
        charged = layer_of(node.module)
        if expected and charged:
            judged += node.time
            wrong += node.time if expected != charged else 0.0
    total = result.node_time or 1.0
    return judged / total, wrong / total


def _named_after_value(name: str, values: Mapping[str, str]) -> str | None:
    """The node that computes the value after which onnxruntime named a node (`relu_1_nchwc`)."""
    steps = name.split("_")
    starts = ("_".join(steps[:count]) for count in range(len(steps), 0, -1))
    return next((values[start] for start in starts if start in values), None)


@contextmanager
def _timed(module: ModuleType, name: str, clock: Callable[[], float]) -> Iterator[list[float]]:
    """Collects the seconds that each call of a function takes.

    Args:
        module: Where it is looked up.
        name: Its name.
        clock: Tells the seconds.
    """
    seconds: list[float] = []
    function = getattr(module, name)

    def call(*arguments: Any, **options: Any) -> Any:
        start = clock()
        try:
            return function(*arguments, **options)
        finally:
            seconds.append(clock() - start)

    with patch.object(module, name, call):
        yield seconds


def largest_differences(a: Profile, b: Profile) -> tuple[float, str, float]:
    """The largest relative difference of a module's time between two profiles, and of its share.

    Returns:
        The difference in time, the path of its module, and the difference in share.
    """
    others = {row.tag: row for row in b.modules}
    pairs = [(x, others[x.tag]) for x in a.modules if x.share > _LARGE and x.tag in others]
    times = [(abs(y.time / x.time - 1), x.path) for x, y in pairs]
    shares = [abs(y.share / x.share - 1) for x, y in pairs]
    return *max(times, default=(0.0, "")), max(shares, default=0.0)


def measure_level(file: Path, level: OptimisationLevel, runs: int | None) -> LevelFigures:
    """Profile a file twice at a level."""
    options = ProfileOptions(level=level, runs=runs, threads=1)
    start, processor = time.perf_counter(), time.process_time()
    with (
        _timed(measured_profile, "run_profiled", time.process_time) as sessions,
        _timed(profiled_run, "run_session", time.perf_counter) as all_runs,
    ):
        first = profile(file, options=options)
    overhead = time.perf_counter() - start - sum(all_runs)
    processor = time.process_time() - processor - sum(sessions)
    second = profile(file, options=options)
    difference, module, share = largest_differences(first, second)
    judged, wrong = judge_layers(first, file)
    return LevelFigures(
        *(first.attributed, first.root_work, judged, wrong, difference, module, share),
        *(first.runs, processor, overhead),
    )


def _row(model: str, form: str, nodes: int, figures: Sequence[LevelFigures]) -> list[str]:
    return [
        *(model, form, str(nodes)),
        " / ".join(f"{100 * level.below_root:.1f}" for level in figures) + " %",
        f"{max(level.root_work for level in figures):.1%}",
        f"{max(level.lost for level in figures):.1%}",
        f"{min(level.judged for level in figures):.0%}",
        f"{max(level.wrong for level in figures):.2%}",
        " / ".join(f"{100 * level.difference:.0f}" for level in figures) + " %",
        " / ".join(f"{100 * level.share_difference:.0f}" for level in figures) + " %",
        f"{min(level.runs for level in figures)} to {max(level.runs for level in figures)}",
        f"{max(level.processor for level in figures):.1f} s",
        f"{max(level.overhead for level in figures):.1f} s",
    ]


def measure_model(
    name: str, forms: Sequence[str], runs: int | None, folder: Path
) -> Iterator[list[str]]:
    """A row for each form of a model."""
    plain = folder / f"{name}.onnx"
    record = trace(*make_subject(name), plain).record
    feeds = {entry.name: entry.to_array() for entry in record.probe.inputs}
    for form in forms:
        converted, file = folder / f"{name}.made.onnx", folder / f"{name}.{form}.onnx"
        FORMS[form](plain, converted, feeds)
        _annotate(converted, record, file)
        nodes = len(onnx.load(file, load_external_data=False).graph.node)
        figures = [measure_level(file, level, runs) for level in OptimisationLevel]
        yield _row(name, form, nodes, figures)
        for level, figure in zip(OptimisationLevel, figures, strict=True):
            print(f"  {level}: {figure}", file=sys.stderr, flush=True)


def _annotate(converted: Path, record: Record, file: Path) -> None:
    annotate(converted, record, file, inject=[Inject.METADATA, Inject.NAMES], force=True)


def update_page(page: Path, rows: Sequence[Sequence[str]]) -> None:
    """Replace the rows of these files and precisions in the table of a page."""
    text, bar, table = page.read_text().partition("\n| ")
    lines = (bar + table).strip().splitlines()[2:]
    old = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    merged = {tuple(row[:2]): row for row in [*old, *rows] if len(row) == len(HEADS)}
    order = list(SUBJECTS)
    ordered = sorted(merged.values(), key=lambda row: order.index(row[0]))
    heads = [_line(HEADS), "|" + " --- |" * len(HEADS)]
    page.write_text("\n".join([text.rstrip(), "", *heads, *map(_line, ordered), ""]))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print a row for each model and precision, and write them into the table of a page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", help=f"some of {', '.join(SUBJECTS)}")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    parser.add_argument("--runs", type=int, help="measured runs; by default profile chooses")
    parser.add_argument("--out", type=Path, help="the page whose table gets the rows")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    rows = []
    print(_line(HEADS))
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.models or _DEFAULT:
            for row in measure_model(name, arguments.forms, arguments.runs, Path(folder)):
                rows.append(row)
                print(_line(row), flush=True)
    if arguments.out is not None:
        update_page(arguments.out, rows)


if __name__ == "__main__":
    main()
