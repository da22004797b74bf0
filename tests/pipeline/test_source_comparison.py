"""A model in torch against an ONNX file of it, by the command and by the function."""

import json
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnxruntime import GraphOptimizationLevel
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers import float16

from agreement.kept import SCRAMBLED
from agreement.steps import Conversion
from attribution.forms import FORMS
from fixtures_gen.zoo import FIXTURES
from modelexport import ModelComparison, Numeric, compare, compare_source
from modelexport.hierarchy.record import Record
from modelexport.rewriter import annotate, compare_run
from modelexport.rewriter.comparison.thresholds import AGREEMENT_DISTANCE
from modelexport.tracer import run_modules
from tests.helpers.commands import Run
from tests.helpers.descendants import optimised
from tests.helpers.traced import TracedModels
from tests.helpers.versions import perturb_module

in_working_folder = pytest.mark.usefixtures("working_folder")
SOURCE, EXPORTER = "called_twice", "torchscript"


def source(name: str) -> str:
    return f"fixtures_gen.zoo:{name}"


def owners(record: Record) -> list[str]:
    """Modules that own weights of the file."""
    named = (t.parameter.rpartition(".")[0] for t in record.tensors if t.parameter is not None)
    return list(dict.fromkeys(named))


@pytest.mark.parametrize("name", ["lstm_stack", SOURCE])
def test_a_traced_file_computes_what_its_modules_return(traced: TracedModels, name: str) -> None:
    """Every call of every module that returns tensors is in the file."""
    result = traced(name, EXPORTER)
    comparison = compare_source(source(name), result.onnx_path, record=result.record)
    assert comparison.same
    assert comparison.inputs == "the record's"
    called = {m.path for m in result.record.modules if m.calls and m.alias_of is None}
    assert {row.path for row in comparison.modules} == called


@pytest.mark.parametrize("name", ["lstm_stack", SOURCE])
def test_the_module_with_other_weights_is_named(
    traced: TracedModels, tmp_path: Path, name: str
) -> None:
    """Whichever it is; of a module with several calls, the first one."""
    result = traced(name, EXPORTER)
    paths = owners(result.record)
    assert paths
    for path in paths:
        changed = perturb_module(result.onnx_path, tmp_path / "b.onnx", result.record, path)
        comparison = compare_source(source(name), changed, record=result.record)
        begins = [row.path for row in comparison.modules if row.begins]
        assert begins[0] == path
        assert comparison.first is not None
        assert comparison.first.partition("@")[0] == next(
            row.tag.partition("@")[0] for row in comparison.modules if row.path == path
        )


def test_changed_weights_are_named_in_a_file_of_half_precision(
    traced: TracedModels, tmp_path: Path
) -> None:
    """Those of a convolution with which the exporter has merged the norm behind it, too."""
    name = "conv_batchnorm"
    result = traced(name, EXPORTER)
    paths = owners(result.record)
    assert paths
    feeds = {entry.name: entry.to_array() for entry in result.record.probe.inputs}
    values = run_modules(*FIXTURES[name].build(), name=name, feeds=feeds)
    annotate(result.onnx_path, result.record, tmp_path / "a.onnx")
    for path in paths:
        changed = perturb_module(tmp_path / "a.onnx", tmp_path / "b.onnx", result.record, path)
        half = float16.convert_float_to_float16(onnx.load(changed), keep_io_types=True)
        onnx.save(half, changed)
        comparison = compare_run(values, changed)
        tag = next(row.tag for row in comparison.modules if row.path == path)
        assert comparison.cause == tag
        assert {weight.tag for weight in comparison.weights} == {tag}


NETS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, noise=0.0):
        super().__init__()
        self.fc, self.noise = nn.Linear(4, 4), noise
        nn.init.eye_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)

    def forward(self, x):
        x = self.fc(x)
        return x + torch.rand_like(x) if self.noise else x

def build():
    return Net(), (torch.ones(2, 4),)

def without_inputs():
    return Net()

def noisy():
    return Net(1.0), (torch.ones(2, 4),)
"""


def test_what_a_source_may_lack(working_folder: Path, run: Run) -> None:
    """Inputs are made like those of the file; a model with other numbers at each run is told."""
    (working_folder / "net.py").write_text(NETS)
    assert run("trace", "net.py:build", "net.onnx", "--exporter", EXPORTER).code == 0
    for more in ([], ["--record", "net.trace.json"]):
        compared = run("compare", "net.py:without_inputs", "net.onnx", "--numeric", *more)
        assert (compared.code, compared.err) == (0, "")
    result = compare_source("net.py:noisy", "net.onnx", record="net.trace.json")
    assert (result.same, result.first) == (False, "/Net")
    assert [n for n in result.notes if "other numbers at each run, first in its own" in n]


@in_working_folder
def test_the_command_says_where_it_begins(traced: TracedModels, run: Run) -> None:
    """In each format; JSON is what the function gives."""
    result = traced(SOURCE, EXPORTER)
    path = owners(result.record)[0]
    perturb_module(result.onnx_path, Path("b.onnx"), result.record, path)
    record = result.record_path
    line = ("compare", source(SOURCE), "b.onnx", "--record", record, "--numeric")
    for form in ("text", "markdown", "json"):
        ran = run(*line, "--output-format", form)
        assert (ran.code, ran.err) == (1, "")
        comparison = compare_source(source(SOURCE), "b.onnx", record=record)
        assert str(comparison.first) in ran.out
    assert msgspec.convert(json.loads(ran.out), ModelComparison) == comparison


@in_working_folder
def test_without_a_record_the_model_is_recorded(traced: TracedModels) -> None:
    """A file that carries nothing is matched, and a note says so."""
    result = traced(SOURCE, EXPORTER)
    inputs = {entry.name: entry.to_array() for entry in result.record.probe.inputs}
    SCRAMBLED.apply(Conversion(result.onnx_path, Path("bare.onnx"), inputs))
    comparison = compare_source(source(SOURCE), "bare.onnx")
    assert comparison.same
    assert "was recorded" in comparison.notes[0]


@in_working_folder
def test_inputs_of_a_file_are_taken(traced: TracedModels, run: Run) -> None:
    """The file is named in the answer; inputs that fit no input of the model are refused."""
    result = traced(SOURCE, EXPORTER)
    inputs = {entry.name: entry.to_array() * 2 for entry in result.record.probe.inputs}
    np.savez("inputs.npz", **inputs)
    np.savez("other.npz", nothing=np.zeros(3))
    line = ("compare", source(SOURCE), result.onnx_path, "--record", result.record_path)
    ran = run(*line, "--numeric", "--inputs", "inputs.npz")
    assert (ran.code, ran.err) == (0, "")
    assert "inputs.npz" in ran.out
    refused = run(*line, "--numeric", "--inputs", "other.npz")
    assert refused.code == 2
    assert "nothing" in refused.err


@in_working_folder
def test_a_suggestion_is_about_the_modules_that_are_shown(traced: TracedModels) -> None:
    """As the errors of the modules are: each stands for all modules inside it."""
    result = traced(SOURCE, EXPORTER)
    quantize_dynamic(result.onnx_path, "int8.onnx", weight_type=QuantType.QInt8)
    comparison = compare_source(
        source(SOURCE),
        "int8.onnx",
        record=result.record,
        reference=result.onnx_path,
        numeric=Numeric(suggest=True, tolerance=0),
        depth=1,
    )
    assert comparison.suggestion is not None
    assert comparison.suggestion.measured
    assert set(comparison.suggestion.measured) <= {row.tag for row in comparison.local}


@in_working_folder
@pytest.mark.parametrize("level", [None, "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"])
def test_the_errors_of_a_quantised_file_are_those_of_rounding(
    traced: TracedModels, level: str | None
) -> None:
    """No value is taken for another one, from which it is much further than rounding is.

    Others are those inside a fused node, before they are clipped, or in another order of axes.
    """
    name = "resnet"
    result = traced(name, "dynamo")
    feeds = {entry.name: entry.to_array() for entry in result.record.probe.inputs}
    FORMS["int8 static"](result.onnx_path, Path("int8.onnx"), feeds)
    if level is not None:
        optimised(getattr(GraphOptimizationLevel, level))(Path("int8.onnx"), Path("fast.onnx"))
    file = Path("int8.onnx" if level is None else "fast.onnx")
    comparison = compare_source(source(name), file, record=result.record, numeric=Numeric())
    errors = [row.relative for row in comparison.modules if row.relative is not None]
    assert len(errors) > len(comparison.modules) / 3
    assert 0 < max(errors) < AGREEMENT_DISTANCE
    assert comparison.local
    assert 0 < max(row.relative or 0 for row in comparison.local) < AGREEMENT_DISTANCE
    numeric = compare(result.onnx_path, file, record=result.record, numeric=Numeric()).numeric
    assert numeric is not None
    assert 0 < max(value.relative or 0 for value in numeric.values) < AGREEMENT_DISTANCE
    assert 0 < max(row.relative or 0 for row in numeric.local) < AGREEMENT_DISTANCE


WRONG = {
    "without --numeric": ("compare {source} b.onnx", "give --numeric"),
    "a suggestion without the float file": (
        "compare {source} b.onnx --numeric --suggest",
        "--reference",
    ),
    "a reference beside two files": (
        "compare a.onnx b.onnx --numeric --reference a.onnx",
        "first side in torch",
    ),
    "a suggestion without --numeric": ("compare a.onnx b.onnx --suggest", "need --numeric"),
}


@pytest.mark.parametrize(("line", "named"), WRONG.values(), ids=WRONG.keys())
def test_wrong_uses_get_one_sentence(run: Run, line: str, named: str) -> None:
    """Code 2, and what to do."""
    ran = run(*line.format(source=source(SOURCE)).split())
    assert (ran.code, ran.out) == (2, "")
    assert named in ran.err
    assert ran.err.count("\n") == 1


def test_the_model_is_left_as_it_was() -> None:
    """No hook stays, and what modules return is kept as it was when they returned."""
    model, inputs = FIXTURES[SOURCE].build()
    run = run_modules(model, inputs, name=SOURCE)
    assert run.calls
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    numbers = [call.call for call in run.calls if call.path == run.calls[0].path]
    assert numbers == list(range(len(numbers)))
