"""Does `compare --numeric` name the module whose weights were changed, and what does it suggest?

`python benchmarks/numeric_compare.py changes bert gpt2 --trials 100` changes the weights of one
module, in the ONNX file in fp32, fp16 and int8: of which module, by how much and in which manner is
random. Each changed file is compared with the file as it was, with the file in fp32, and with the
model in torch. The module that they name as the cause has to be the changed one. Each trial is a
line of the file `--rows`, and another run adds to it: `--report` shows what there is.

`python benchmarks/numeric_compare.py suggestions bert resnet minilm` quantises models to int8,
dynamic and static, and asks for modules to leave out. Then each module with quantised nodes is left
out in turn, by onnxruntime's own quantiser, and the gains are compared.
"""

import argparse
import logging
import math
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from attribution.forms import FORMS
from modelexport import Numeric, compare
from modelexport.rewriter.annotation.placed_file import PlacedFile
from quantisers import BY_DEFAULT, QDQ_ONLY, Quantise, dynamic_quantiser, static_quantiser
from weight_changes.slices import Plan, read_rows, run_slices
from weight_changes.subject import Subject
from weight_changes.table import table
from weight_changes.trials import wrong_names

_WAYS = ("dynamic", "static", "static, QDQ operators")
_FOREVER = 1 << 30
"""Seconds, where there is no limit."""


def run_changes(arguments: argparse.Namespace, folder: Path) -> int:
    """Print a row for each form of each model; 1 if a trial failed or named another module."""
    start = time.monotonic()
    rows = arguments.rows or folder / "trials.jsonl"
    failures: list[str] = []
    if not arguments.report:
        plan = Plan(
            *(arguments.models, arguments.forms, arguments.seed, arguments.trials, rows, folder),
            deadline=start + arguments.seconds,
        )
        failures = list(run_slices(plan, arguments.jobs))
    trials = read_rows(rows)
    print("\n".join([*table(trials), *wrong_names(trials), *failures]))
    print(f"{len(trials)} trials, {time.monotonic() - start:.0f} s")
    return bool(failures) or not all(all(trial.right.values()) for trial in trials)


def outputs_of(model: Path, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a file returns in onnxruntime, as it stands."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1  # a quantised LSTM computes other numbers with more
    session = onnxruntime.InferenceSession(str(model), options)
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def error_of(exact: dict[str, np.ndarray], outputs: dict[str, np.ndarray]) -> float:
    """The error of some outputs, as `Suggestion` has it."""
    norms = [
        float(np.linalg.norm(outputs[name].astype(float) - array) / np.linalg.norm(array))
        for name, array in exact.items()
    ]
    return math.sqrt(sum(norm**2 for norm in norms) / len(norms))


def quantiser_of(way: str, plain: Path, feeds: dict[str, np.ndarray], folder: Path) -> Quantise:
    """One of the ways in which onnxruntime quantises."""
    if way == "dynamic":
        return dynamic_quantiser(plain, folder)
    return static_quantiser(plain, feeds, folder, BY_DEFAULT if way == "static" else QDQ_ONLY)


def run_suggestions(name: str, folder: Path, chosen: Sequence[str]) -> int:
    """Quantise a model in some ways; check that the first suggestion gains most. 1 if it does not.

    The gain of every module is measured once more, with a file from which the quantiser itself
    left the module out.
    """
    subject = Subject(name, folder)
    subject.make_files()
    feeds = subject.feeds
    exact = outputs_of(subject.plain, feeds)
    failed = 0
    for way in chosen:
        quantise = quantiser_of(way, subject.plain, feeds, folder)
        target = folder / f"{way}.quantised.onnx"
        onnx.save(quantise([]), target)
        before = error_of(exact, outputs_of(target, feeds))
        started = time.perf_counter()
        numeric = compare(
            subject.plain, target, record=subject.record, numeric=Numeric(suggest=True)
        ).numeric
        took = time.perf_counter() - started
        assert numeric is not None
        assert numeric.suggestion is not None
        measured, steps = numeric.suggestion.measured, numeric.suggestion.steps
        gains = {}
        for tag, names in nodes_by_tag(subject, measured).items():
            onnx.save(quantise(names), folder / "without.onnx")
            after = error_of(exact, outputs_of(folder / "without.onnx", feeds))
            gains[tag] = 20 * math.log10(before / max(after, 1e-7))
        first = steps[0].tag if steps else max(measured, key=measured.__getitem__)
        best = max(gains, key=gains.__getitem__)
        order = sorted(gains, key=lambda tag: -gains[tag])
        local = numeric.local[0].tag
        failed += gains[first] < gains[best] - 1e-9
        print(
            f"| {name} | {way} | {len(gains)} | {before:.4f} | {first} | {measured[first]:.2f} | "
            f"{gains[first]:.2f} | {best} | {gains[best]:.2f} | {order.index(first) + 1} | "
            f"{order.index(local) + 1 if local in order else '-'} | {took:.1f} |",
            flush=True,
        )
    return failed


def nodes_by_tag(subject: Subject, tags: Iterable[str]) -> dict[str, list[str]]:
    """The names of the own nodes of some modules in the plain file."""
    nodes: dict[str, list[str]] = {tag: [] for tag in tags}
    with PlacedFile.open(subject.annotated) as file:
        for number, node in enumerate(file.graph.nodes):
            if (tag := file.tag(number)) in nodes and node.name:
                nodes[str(tag)] += [node.name, f"{node.name}_MatMul"]  # of a part of a Gemm
    return nodes


def main() -> int:
    """Print a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["changes", "suggestions"])
    add = parser.add_argument
    add("models", nargs="*", help="models of the zoo, those that are profiled, or folders")
    add("--trials", type=int, default=100, help="for changes: of each form of each model")
    add("--forms", nargs="+", choices=FORMS, default=list(FORMS), help="for changes")
    add("--seed", type=int, default=0, help="for changes")
    add("--jobs", type=int, default=1, help="for changes: number of processes")
    add("--seconds", type=float, default=_FOREVER, help="for changes: no trial begins after these")
    add("--rows", type=Path, help="for changes: the file of the trials")
    add("--report", action="store_true", help="for changes: run nothing, show the trials there are")
    add("--ways", nargs="+", choices=_WAYS, default=_WAYS, help="for suggestions")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.what == "changes":
            return run_changes(arguments, Path(folder))
    heads = ["model", "int8", "modules", "error", "first suggestion", "gain dB (composed)",
             "gain dB (requantised)", "best module", "its gain dB", "rank of the first",
             "rank of the largest local error", "seconds"]  # fmt: skip
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    failed = 0
    for name in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            failed += run_suggestions(name, Path(folder), arguments.ways)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
