"""Does `compare --numeric` name the module whose weights were changed, and what does it suggest?

`python benchmarks/numeric_compare.py changes bert gpt2 --trials 100` changes the weights of one
module, in the ONNX file in fp32, fp16 and int8: of which module, by how much and in which manner is
random. Each changed file is compared with the file as it was, with the file in fp32, and with the
model in torch. The module that they name as the cause has to be the changed one.

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
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from attribution.forms import FORMS
from attribution.subjects import make_subject as build_subject
from changed_weights import StoredWeights, change_arrays
from fixtures_gen.zoo import FIXTURES
from modelexport import Numeric, annotate, compare
from modelexport.hierarchy.module_values import ModelValues
from modelexport.hierarchy.record import Record
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.comparison.parity.compare_run import compare_run
from modelexport.tracer import Loaded, run_modules, trace
from modelexport.tracer.sources.origin import Origin
from quantisers import BY_DEFAULT, QDQ_ONLY, Quantise, dynamic_quantiser, static_quantiser

_SIDES = ("versions", "fp32 file", "torch")
"""What a changed file is compared with: its version before, the file in fp32, and torch."""

_WAYS = ("dynamic", "static", "static, QDQ operators")


@dataclass(frozen=True)
class Subject:
    """A traced model.

    Attributes:
        loaded: The model in torch.
        record: Its record.
        plain, annotated: Its files.
        values: What its modules return on the inputs of the record.
    """

    loaded: Loaded
    record: Record
    plain: Path
    annotated: Path
    values: ModelValues


def make_subject(name: str, folder: Path) -> Subject:
    """Trace a model: a tiny one of the zoo, else one of those that are profiled."""
    model, inputs = FIXTURES[name].build() if name in FIXTURES else build_subject(name)
    loaded = Loaded(model, inputs, Origin(name))
    plain, annotated = folder / f"{name}.onnx", folder / f"{name}.annotated.onnx"
    traced = trace(loaded.model, loaded.inputs, plain)
    annotate(plain, traced.record, annotated)
    feeds = {entry.name: entry.to_array() for entry in traced.record.probe.inputs}
    values = run_modules(loaded.model, loaded.inputs, name=name, feeds=feeds)
    return Subject(loaded, traced.record, plain, annotated, values)


def modules_with_weights(record: Record) -> dict[str, list[str]]:
    """The real weights that each module owns in the file, by its path."""
    weights: dict[str, list[str]] = {}
    for tensor in record.tensors:
        if tensor.parameter is not None:
            weights.setdefault(tensor.parameter.rpartition(".")[0], []).append(tensor.name)
    return weights


class ChangeTrials:
    """Changes modules of a file at random, and looks which one `compare` names.

    Args:
        subject: The model.
        form: How its file is stored: one of `FORMS`.
        seed: Of the changes.
        folder: Where files are written.

    Attributes:
        counts: Number of trials, and of those in which the right module was named.
    """

    def __init__(self, subject: Subject, form: str, seed: int, folder: Path) -> None:
        self._subject, self._form, self._folder = subject, form, folder
        self._random = np.random.default_rng(seed)
        self._weights = modules_with_weights(subject.record)
        plain = folder / "form.onnx"
        feeds = {entry.name: entry.to_array() for entry in subject.record.probe.inputs}
        FORMS[form](subject.plain, plain, feeds)
        self._before = folder / "form.annotated.onnx"
        annotate(plain, subject.record, self._before, force=True)
        self._stored = StoredWeights(onnx.load(self._before))
        self._bare = StoredWeights(onnx.load(plain))
        names = {name for names in self._weights.values() for name in names}
        self._exact = {
            weight.name: numpy_helper.to_array(weight)
            for weight in onnx.load(subject.plain).graph.initializer
            if weight.name in names and weight.data_type == onnx.TensorProto.FLOAT
        }
        self.counts: Counter[str] = Counter()

    def run(self, trials: int) -> None:
        """Run so many trials with an effect."""
        paths = sorted(p for p, names in self._weights.items() if self._exact.keys() & names)
        while self.counts["trials"] < trials:
            path = str(self._random.choice(paths))
            exact = {n: self._exact[n] for n in self._weights[path] if n in self._exact}
            changed, how = change_arrays(exact, self._random)
            causes = self._causes(exact, changed)
            if causes is None:
                self.counts["without effect"] += 1  # rows of a table that no input reads
                continue
            self.counts["trials"] += 1
            tag = self._subject.record.tree[path].path
            for side, cause in causes.items():
                self.counts[side] += _is_named(cause or "", tag)
                if not _is_named(cause or "", tag):
                    names = f"{side} names {cause or 'nothing'}, not {tag} ({how})"
                    print(f"  {self._form}: {names}")

    def _causes(
        self, exact: dict[str, np.ndarray], changed: dict[str, np.ndarray]
    ) -> dict[str, str | None] | None:
        """What each comparison names; None where the change has no effect.

        In single precision the file that is compared with torch carries no tags.
        """
        subject, record = self._subject, self._subject.record
        after = self._folder / "changed.onnx"
        onnx.save(self._stored.with_weights(exact, changed), after)
        versions = compare(self._before, after, record=record, numeric=Numeric()).numeric
        assert versions is not None
        if versions.same:
            return None
        causes = {"versions": versions.cause}
        if self._form != "fp32":
            precisions = compare(subject.annotated, after, record=record, numeric=Numeric()).numeric
            assert precisions is not None
            causes["fp32 file"] = precisions.cause
        else:
            onnx.save(self._bare.with_weights(exact, changed), after)
        against = compare_run(subject.values, after, record=record)
        return causes | {"torch": against.cause}


def run_changes(name: str, arguments: argparse.Namespace, folder: Path) -> int:
    """Print a row for each form of a model; 1 if a trial named another module."""
    subject = make_subject(name, folder)
    failed = False
    for form in arguments.forms:
        started = time.perf_counter()
        trials = ChangeTrials(subject, form, arguments.seed, folder)
        trials.run(arguments.trials)
        counts = trials.counts
        sides = ["versions", "fp32 file", "torch"] if form != "fp32" else ["versions", "torch"]
        cells = [f"{counts[s]} of {counts['trials']}" if s in sides else "" for s in _SIDES]
        took = time.perf_counter() - started
        print(f"| {name} | {form} | {' | '.join(cells)} | {took:.0f} |", flush=True)
        failed |= any(counts[side] < counts["trials"] for side in sides)
    return failed


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
    subject = make_subject(name, folder)
    feeds = {entry.name: entry.to_array() for entry in subject.record.probe.inputs}
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


def _is_named(tag: str, path: str) -> bool:
    """Whether a tag is that of a module; `@` and a number may follow it."""
    steps = tag.split("/")[2:]
    return ".".join(steps).partition("@")[0] == path


def main() -> int:
    """Print a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["changes", "suggestions"])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument(
        "--forms", nargs="+", choices=FORMS, default=list(FORMS), help="for changes"
    )
    parser.add_argument("--ways", nargs="+", choices=_WAYS, default=_WAYS, help="for suggestions")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    failed = 0
    logging.disable(logging.WARNING)
    if arguments.what == "changes":
        print("| model | form | " + " | ".join(_SIDES) + " | seconds |\n" + "|---" * 6 + "|")
    else:
        heads = ["model", "int8", "modules", "error", "first suggestion", "gain dB (composed)",
                 "gain dB (requantised)", "best module", "its gain dB", "rank of the first",
                 "rank of the largest local error", "seconds"]  # fmt: skip
        print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for name in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            if arguments.what == "changes":
                failed += run_changes(name, arguments, Path(folder))
            else:
                failed += run_suggestions(name, Path(folder), arguments.ways)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
