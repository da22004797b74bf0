"""A traced model with its files, in a folder that several processes read."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from attribution.forms import FORMS
from attribution.subjects import SUBJECTS
from attribution.subjects import make_subject as build_subject
from fixtures_gen.zoo import FIXTURES
from modelexport import annotate
from modelexport.hierarchy.module_values import ModelValues
from modelexport.hierarchy.record import Record, read_record
from modelexport.tracer import Loaded, Origin, load, run_modules, trace


@dataclass(frozen=True)
class Subject:
    """A traced model.

    Attributes:
        source: A model of the zoo, one of those that are profiled, or a folder.
        folder: Where its files are.
    """

    source: str
    folder: Path

    @property
    def name(self) -> str:
        """What the model is called."""
        return Path(self.source).name

    @property
    def plain(self) -> Path:
        """The file that the exporter wrote."""
        return self.folder / f"{self.name}.onnx"

    @property
    def annotated(self) -> Path:
        """The same with tags."""
        return self.folder / f"{self.name}.annotated.onnx"

    @cached_property
    def record(self) -> Record:
        """Its record."""
        return read_record(self.folder / f"{self.name}.trace.json")

    @property
    def feeds(self) -> dict[str, np.ndarray]:
        """The inputs of the record."""
        return {entry.name: entry.to_array() for entry in self.record.probe.inputs}

    @property
    def probe(self) -> Path:
        """A file of the inputs."""
        return self.folder / f"{self.name}.npz"

    @cached_property
    def values(self) -> ModelValues:
        """What its modules return in torch on these inputs."""
        loaded = self.load()
        return run_modules(loaded.model, loaded.inputs, name=self.name, feeds=self.feeds)

    def load(self) -> Loaded:
        """The model in torch, with the same weights each time."""
        if self.source in FIXTURES:
            model, inputs = FIXTURES[self.source].build()
        elif self.source in SUBJECTS:
            model, inputs = build_subject(self.source)
        else:
            return load(self.source)
        return Loaded(model, inputs, Origin(self.source))

    def make_files(self) -> None:
        """Trace it."""
        loaded = self.load()
        result = trace(loaded.model, loaded.inputs, self.plain)
        annotate(self.plain, result.record, self.annotated)
        np.savez(self.probe, **self.feeds)

    def form_files(self, form: str) -> tuple[Path, Path]:
        """Its file in a form, without tags and with them."""
        stem = f"{self.name}.{form.replace(' ', '_')}"
        return self.folder / f"{stem}.onnx", self.folder / f"{stem}.annotated.onnx"

    def make_form(self, form: str) -> None:
        """Store it in a form: one of `FORMS`."""
        plain, annotated = self.form_files(form)
        FORMS[form](self.plain, plain, self.feeds)
        annotate(plain, self.record, annotated, force=True)
