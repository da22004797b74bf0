"""A model of the table: its exports, the files made from them, and their truth."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np
import onnx
from torch import nn

from agreement import builders, carrying
from agreement.plan import LARGE, PLAIN, Start
from agreement.steps import Carry, Conversion, Step
from agreement.store import NotPossible, key_of, sources, stored
from agreement.zoo import ENTRIES, Entry, neighbour
from fixtures_gen.covers import Covers
from fixtures_gen.eager import Eager, run_eagerly
from fixtures_gen.onnx_values import Array, observe
from fixtures_gen.registry import Inputs
from fixtures_gen.truth import Truth, derive_truth, feeds
from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.hierarchy.record import Record, read_record
from modelexport.tracer import trace
from modelexport.tracer.exporters.selection import EXPORTERS

Feeds = dict[str, Array]

_MODELS = (
    "benchmarks/agreement/zoo.py",
    "fixtures_gen/registry.py",
    *(
        f"fixtures_gen/{name}_zoo.py"
        for name in ("torch", "layer", "script", "control_flow", "transformers")
    ),
)
_TRUTH = (
    "benchmarks/agreement/carrying.py",
    *(f"fixtures_gen/{name}.py" for name in ("covers", "eager", "onnx_values", "similar", "truth")),
)


class _Kept(msgspec.Struct):
    """Truth as it is stored."""

    settled: list[tuple[str, int, list[str]]]
    open: list[tuple[str, int, str]]
    op_types: list[tuple[str, int, str]]
    covers: list[tuple[str, int, list[str], list[str]]]


@dataclass(frozen=True)
class Variant:
    """A file of the table.

    Attributes:
        path: Where it is.
        key: Names its content.
        truth: Of its nodes; None where its record is of another model.
        feeds: Inputs it runs on, by name.
    """

    path: Path
    key: str
    truth: Truth | None
    feeds: Feeds


class Subject:
    """One model, with whatever was made of it so far in this process."""

    def __init__(self, name: str) -> None:
        self.entry: Entry = ENTRIES[name]
        self._eager: dict[tuple[str, bool], Eager] = {}
        self._models: dict[str, tuple[nn.Module, Inputs]] = {}
        self._variants: dict[tuple[Start, tuple[str, ...]], Variant | str] = {}

    def variant(self, start: Start, steps: tuple[Step, ...]) -> Variant:
        """The file that some steps make of an export, with its truth.

        Raises:
            NotPossible: A tool cannot do its step, now or before.
        """
        place = (start, tuple(step.name for step in steps))
        if place not in self._variants:
            try:
                self._variants[place] = (
                    self._step(self.variant(start, steps[:-1]), steps[-1], start)
                    if steps
                    else self._export(start)
                )
            except NotPossible as error:
                self._variants[place] = str(error)
        result = self._variants[place]
        if isinstance(result, str):
            raise NotPossible(result)
        return result

    def record_path(self, start: Start) -> Path:
        """The record of an export."""
        return self._traced(start, "tracer", "hierarchy") / "m.trace.json"

    def record(self, start: Start) -> Record:
        """The record of an export, read."""
        return read_record(self.record_path(start))

    def plain_path(self, start: Start) -> Path:
        """The file that was traced with the record."""
        return self._traced(start, "tracer", "hierarchy") / "m.onnx"

    def _model(self, variant: str) -> tuple[nn.Module, Inputs]:
        if variant not in self._models:
            if variant in {"deeper", "wider"} and not self.entry.sized:
                raise NotPossible("made in one size only")
            pair = self.entry.model(variant)
            if variant in {"deeper", "wider"} and _shapes(pair[0]) == _shapes(
                self.entry.model()[0]
            ):
                raise NotPossible("its size does not depend on that")
            self._models[variant] = pair
        return self._models[variant]

    def _inputs(self, start: Start) -> Inputs:
        inputs = self._model(start.variant)[1]
        return self.entry.other_inputs(inputs) if start.reshaped else inputs

    def _traced(self, start: Start, *makers: str) -> Path:
        """The folder of an export and its record."""

        def make(folder: Path) -> None:
            model, _ = self._model(start.variant)
            exporter = "auto" if start.exporter == "first" else self._other_exporter
            trace(
                model,
                self._inputs(start),
                folder / "m.onnx",
                exporter=exporter,
                dynamic=start.dynamic,
                probe=start in _RECORDED,
            )

        code = sources(*_MODELS, *makers)
        return stored("traces", key_of(self.entry.name, str(start), code), make)

    @cached_property
    def _other_exporter(self) -> str:
        taken = self.record(PLAIN).source.exporter
        return next(name for name in EXPORTERS if name != taken)

    def _export(self, start: Start) -> Variant:
        """An export as it is; an edit of how records are made does not make it anew."""
        if start.variant == "neighbour":
            other = Subject(neighbour(self.entry.name)).variant(Start("stranger"), ())
            return Variant(other.path, other.key, None, other.feeds)
        if start.built:
            return self._built(start)
        if start in _RECORDED:
            path = self.plain_path(start)
        else:
            path = self._traced(start, "tracer/exporters", "tracer/sources/signature.py") / "m.onnx"
        model, _ = self._model(start.variant)
        inputs = feeds(model, self._inputs(start), onnx.load(path, load_external_data=False).graph)
        key = key_of(hashlib.sha256(path.read_bytes()).hexdigest())
        truth = None
        if start.variant in {"own", "tuned"}:
            truth = self._truth(key, Carry.VALUES, None, path, inputs, start)
        return Variant(path, key, truth, inputs)

    def _built(self, start: Start) -> Variant:
        """A file that another builder wrote; what lost digits has the truth of what lost none."""
        model, inputs = self._model(start.variant)
        if start.built != FULL_PRECISION_BUILT:
            before = self.variant(replace(start, built=FULL_PRECISION_BUILT), ())

        def make(folder: Path) -> None:
            builders.build(model, start.built, folder)

        code = sources(*_MODELS, "benchmarks/agreement/builders.py")
        folder = stored("built", key_of(self.entry.name, start.built, code), make)
        path = folder / "m.onnx"
        arrays = {name: tensor.numpy() for name, tensor in dict(inputs).items()}
        inputs = builders.with_empty_cache(folder, arrays)
        key = key_of(hashlib.sha256(path.read_bytes()).hexdigest())
        if start.built == FULL_PRECISION_BUILT:
            return Variant(
                path,
                key,
                self._truth(key, Carry.VALUES, None, path, inputs, start),
                inputs,
            )
        truth = self._truth(key, Carry.NAMES, before, path, inputs, start)
        return Variant(path, key, truth, inputs)

    def _step(self, before: Variant, step: Step, start: Start) -> Variant:
        """One step further."""
        module = step.apply.__module__.replace(".", "/")
        code = sources(f"benchmarks/{module}.py", "benchmarks/agreement/scrambling.py")
        key = key_of(before.key, step.name, code, self.entry.fusions or "")

        def make(folder: Path) -> None:
            step.apply(Conversion(before.path, folder / "m.onnx", before.feeds, self.entry.fusions))
            onnx.load(folder / "m.onnx")  # the step has to have written something that reads

        path = stored("files", key, make) / "m.onnx"
        inputs = self._feeds_after(before, step, path)
        truth = None
        if before.truth is not None:
            truth = self._truth(key, step.carry, before, path, inputs, start)
        return Variant(path, key, truth, inputs)

    def _feeds_after(self, before: Variant, step: Step, path: Path) -> Feeds:
        graph = onnx.load(path, load_external_data=False).graph
        initializers = {tensor.name for tensor in graph.initializer}
        names = [value.name for value in graph.input if value.name not in initializers]
        if step.renames:
            return dict(zip(names, before.feeds.values(), strict=True))
        if step.cuts:
            return _values(before, names)
        return {name: before.feeds[name] for name in names}

    def _truth(
        self,
        key: str,
        carry: Carry,
        before: Variant | None,
        path: Path,
        inputs: Feeds,
        start: Start,
    ) -> Truth:
        """The truth of a file, computed or read from the store."""

        def make(folder: Path) -> None:
            if carry is Carry.VALUES:
                truth = derive_truth(observe(path, inputs), self._run(start))
            else:
                assert before is not None
                assert before.truth is not None
                after = onnx.load(path)
                if carry is Carry.POSITIONS:
                    truth = carrying.by_position(before.truth, after)
                else:
                    truth = carrying.by_names(onnx.load(before.path), before.truth, after)
            (folder / "truth.json").write_bytes(msgspec.json.encode(_kept(truth)))

        code = sources(*_MODELS, *_TRUTH)
        where = stored("truths", key_of(self.entry.name, str(start), key, carry, code), make)
        return _read(where / "truth.json")

    def _run(self, start: Start) -> Eager:
        place = (start.variant, start.reshaped)
        if place not in self._eager:
            model, _ = self._model(start.variant)
            self._eager[place] = run_eagerly(model, self._inputs(start))
        return self._eager[place]


FULL_PRECISION_BUILT = "fp32"
"""The precision of built files whose values are held against the eager ones."""

_RECORDED = {PLAIN, LARGE, Start(exporter="other")}
"""Exports whose records are used."""


def _values(before: Variant, names: list[str]) -> Feeds:
    """What some tensors of a file hold when it runs."""
    observed = observe(before.path, before.feeds)
    values = dict(before.feeds)
    for (graph, position), runs in observed.executions.items():
        if not graph:
            node = observed.model.graph.node[position]
            outputs = [name for name in node.output if name]
            if len(outputs) == len(runs[-1].outputs):
                values |= zip(outputs, runs[-1].outputs, strict=True)
    return {name: np.asarray(values[name]) for name in names}


def _kept(truth: Truth) -> _Kept:
    return _Kept(
        [(*key, sorted(modules)) for key, modules in truth.modules.items()],
        [(*key, reason) for key, reason in truth.unknown.items()],
        [(*key, name) for key, name in truth.op_types.items()],
        [(*key, sorted(c.required), sorted(c.allowed)) for key, c in truth.covers.items()],
    )


def _read(path: Path) -> Truth:
    kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
    return Truth(
        {NodeKey(graph, at): frozenset(modules) for graph, at, modules in kept.settled},
        {NodeKey(graph, at): reason for graph, at, reason in kept.open},
        {NodeKey(graph, at): name for graph, at, name in kept.op_types},
        {
            NodeKey(graph, at): Covers(frozenset(required), frozenset(allowed))
            for graph, at, required, allowed in kept.covers
        },
    )


def _shapes(model: nn.Module) -> list[tuple[int, ...]]:
    return [tuple(tensor.shape) for tensor in model.state_dict().values()]
