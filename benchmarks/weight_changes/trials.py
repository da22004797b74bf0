"""Changing the weights of one module at random, and looking which module `compare` names."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import onnx
from onnx import numpy_helper

from modelexport import Numeric, compare
from modelexport.hierarchy.record import Record
from modelexport.hierarchy.tags import Tagger
from modelexport.rewriter.comparison.parity.compare_run import compare_run
from weight_changes.stored_weights import StoredWeights, change_arrays
from weight_changes.subject import Subject

_CALL = re.compile(r"@\d+")
"""The number of a call in a tag."""

SIDES = ("versions", "fp32 file", "torch")
"""What a changed file is compared with: its version before, the file in fp32, and torch."""


class Trial(msgspec.Struct, frozen=True):
    """One change, and what was named.

    Attributes:
        model: Name of the model.
        form: How its file is stored.
        seed: Of the changes.
        index: Number of the trial: it decides on the change, with the seed.
        path: Path of the changed module.
        how: The manner and the size of the change.
        causes: By what the file was compared with the tag that was named; "" for none.
        right: Whether each of these is the changed module.
        discarded: Number of changes without any effect that were drawn before.
    """

    model: str
    form: str
    seed: int
    index: int
    path: str
    how: str
    causes: dict[str, str]
    right: dict[str, bool]
    discarded: int


class ChangeTrials:
    """Changes modules of a file.

    Args:
        subject: The model, with its files.
        form: How its file is stored.
    """

    def __init__(self, subject: Subject, form: str) -> None:
        self._subject, self._form = subject, form
        self._weights = modules_with_weights(subject.record)
        plain, self._before = subject.form_files(form)
        self._stored = StoredWeights(onnx.load(self._before))
        self._bare = StoredWeights(onnx.load(plain)) if form == "fp32" else None
        names = {name for names in self._weights.values() for name in names}
        self._exact = {
            weight.name: numpy_helper.to_array(weight)
            for weight in onnx.load(subject.plain).graph.initializer
            if weight.name in names and weight.data_type == onnx.TensorProto.FLOAT
        }
        self._paths = sorted(p for p, own in self._weights.items() if self._exact.keys() & own)

    def run(self, seed: int, index: int) -> Trial:
        """Change a module with an effect: rows of a table that no input reads have none."""
        random = np.random.default_rng((seed, index))
        discarded = 0
        with tempfile.TemporaryDirectory() as folder:
            while True:
                path = str(random.choice(self._paths))
                exact = {n: self._exact[n] for n in self._weights[path] if n in self._exact}
                changed, how = change_arrays(exact, random)
                causes = self._causes(exact, changed, Path(folder, "changed.onnx"))
                if causes is not None:
                    break
                discarded += 1
        module = self._subject.record.tree[path].path
        tag = Tagger(self._subject.record.tree).tag(module)
        right = {side: _CALL.sub("", cause) == tag for side, cause in causes.items()}
        name = self._subject.name
        return Trial(name, self._form, seed, index, module, how, causes, right, discarded)

    def _causes(
        self, exact: dict[str, np.ndarray], changed: dict[str, np.ndarray], after: Path
    ) -> dict[str, str] | None:
        """What each comparison names; None where the change has no effect.

        In single precision the file that is compared with torch carries no tags.
        """
        subject, numeric = self._subject, Numeric(probe=self._subject.probe)
        onnx.save(self._stored.with_weights(exact, changed), after)
        versions = compare(self._before, after, numeric=numeric).numeric
        assert versions is not None
        if versions.same:
            return None
        causes = {"versions": versions.cause or ""}
        if self._bare is None:
            precisions = compare(subject.annotated, after, numeric=numeric).numeric
            assert precisions is not None
            causes["fp32 file"] = precisions.cause or ""
            against = compare_run(subject.values, after)
        else:
            onnx.save(self._bare.with_weights(exact, changed), after)
            against = compare_run(subject.values, after, record=subject.record)
        return causes | {"torch": against.cause or ""}


def modules_with_weights(record: Record) -> dict[str, list[str]]:
    """The real weights that each module owns in the file, by its path."""
    weights: dict[str, list[str]] = {}
    for tensor in record.tensors:
        if tensor.parameter is not None:
            weights.setdefault(tensor.parameter.rpartition(".")[0], []).append(tensor.name)
    return weights


def wrong_names(trials: list[Trial]) -> Iterator[str]:
    """A line for each comparison that named another module."""
    for trial in trials:
        for side in (side for side, right in trial.right.items() if not right):
            cause = trial.causes[side] or "nothing"
            yield (
                f"  {trial.model}, {trial.form}, trial {trial.index} of seed {trial.seed}: "
                f"{side} names {cause}, not {trial.path} ({trial.how})"
            )
