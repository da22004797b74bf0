"""Configured traces: a configuration reaches the exporter whole; what does not fit is refused."""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from fixtures_gen.zoo import FIXTURES
from modelexport.hierarchy.choices import Exporter
from modelexport.hierarchy.export_config import (
    ExportConfig,
    InputSpec,
    TraceOptions,
    read_export_config,
)
from modelexport.hierarchy.record import read_record
from modelexport.tracer import load_from_config, trace, trace_loaded
from modelexport.tracer.exporters.selection import EXPORTERS
from tests.helpers.commands import CommandResult, Run
from tests.helpers.configured import CONFIG, FIXED, PAIR, WIDTH, pair
from tests.helpers.documents import run_document
from tests.helpers.traced import open_session

EXTENTS = 5, 9
"""A batch and a length that no example input has."""

pytestmark = pytest.mark.usefixtures("working_folder")


def configured(
    run: Run, config: dict[str, object], *options: str, source: str = PAIR
) -> CommandResult:
    Path("config.json").write_text(json.dumps(config))
    return run("trace", source, "m.onnx", "--config", "config.json", *options)


def dims(value: onnx.ValueInfoProto) -> list[int | str]:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_all_of_it_reaches_the_exporter(run: Run, tmp_path: Path, exporter: str) -> None:
    """Shapes, dtypes and ranges of inputs; names of axes and outputs; the opset."""
    assert configured(run, CONFIG | {"exporter": exporter}).code == 0
    model = onnx.load(tmp_path / "m.onnx")
    record = read_record(tmp_path / "m.trace.json")
    fed = {entry.name: entry.to_array() for entry in record.probe.inputs}
    assert record.source.exporter == exporter
    assert {name: array.shape for name, array in fed.items()} == {
        "x": (3, 4, WIDTH),
        "mask": (3, 4),
    }
    assert (fed["mask"].dtype, set(np.unique(fed["mask"]))) == (np.int64, {7, 8, 9})
    assert 2 <= fed["x"].min() < fed["x"].max() <= 5
    assert {value.name: dims(value) for value in model.graph.input} == {
        "x": ["batch", "length", WIDTH],
        "mask": ["batch", "length"],
    }
    assert [value.name for value in model.graph.output] == CONFIG["output_names"]
    _compare(tmp_path / "m.onnx", *pair())


def _compare(path: Path, model: nn.Module, example: tuple[torch.Tensor, ...]) -> None:
    """The file computes what the model does, on extents that it was not traced with."""
    inputs = [torch.randn(*EXTENTS, *tensor.shape[2:]) for tensor in example]
    session = open_session(path)
    types = {value.name: value.type for value in session.get_inputs()}
    feeds = {
        name: (tensor if "float" in types[name] else tensor.round().long()).numpy()
        for name, tensor in zip(types, inputs, strict=True)
    }
    with torch.no_grad():
        expected = model(*map(torch.from_numpy, feeds.values()))
    outputs = session.run(None, feeds)
    assert outputs
    for output, tensor in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output, tensor.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_models_of_transformers_take_names_and_axes(tmp_path: Path, exporter: str) -> None:
    """Through transformers' own front end, too."""
    model, inputs = FIXTURES["bert"].build()
    assert isinstance(inputs, dict)
    axes = {name: {0: "batch", 1: "length"} for name in inputs}
    with torch.no_grad():
        names = [f"given_{k}" for k in range(len(model(**inputs).to_tuple()))]
    done = trace(
        *(model, inputs, tmp_path / "m.onnx"),
        exporter=exporter,
        dynamic=axes,
        output_names=names,
        probe=False,
    )
    graph = onnx.load(done.onnx_path).graph
    assert [value.name for value in graph.output] == names
    assert [dims(value) for value in graph.input] == [["batch", "length"]] * len(inputs)
    session = open_session(done.onnx_path)
    longer = {name: tensor.repeat(3, 1)[:5, :-1].contiguous() for name, tensor in inputs.items()}
    with torch.no_grad():
        expected = model(**longer).to_tuple()
    feeds = {value.name: longer[value.name].numpy() for value in session.get_inputs()}
    outputs = session.run(None, feeds)
    assert outputs
    for output, tensor in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output, tensor.numpy(), rtol=1e-3, atol=1e-4)


def test_an_axis_that_cannot_be_dynamic_is_refused(run: Run, tmp_path: Path) -> None:
    """Asked for by name it must come out dynamic; `--dynamic` takes what it gets."""
    config = {"exporter": "dynamo", "dynamic_axes": {"x": {"1": "length"}}}
    ran = configured(run, config, source=FIXED)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "axis 1 of x" in ran.err
    assert not (tmp_path / "m.onnx").exists()
    assert configured(run, {"exporter": "dynamo", "dynamic": True}, source=FIXED).code == 0
    assert isinstance(dims(onnx.load(tmp_path / "m.onnx").graph.input[0])[0], str)


def test_options_win_over_the_configuration(run: Run, tmp_path: Path) -> None:
    """Opset, exporter, shape and dynamic axes of the command line; the rest is as configured."""
    options = ["--opset", "18", "--input-shape", f"x=1x2x{WIDTH}", "--input-shape", "mask=1x2"]
    assert configured(run, CONFIG, *options, "--no-dynamic").code == 0
    model = onnx.load(tmp_path / "m.onnx")
    fed = {e.name: e.to_array() for e in read_record(tmp_path / "m.trace.json").probe.inputs}
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == 18
    assert {name: array.shape for name, array in fed.items()} == {
        "x": (1, 2, WIDTH),
        "mask": (1, 2),
    }
    assert set(np.unique(fed["mask"])) <= {7, 8, 9}
    assert dims(model.graph.input[0]) == [1, 2, WIDTH]


def test_configured_inputs_are_all_inputs(run: Run, tmp_path: Path) -> None:
    """What the factory gives beyond them is left out; what is not said stays as it was given."""
    ran = configured(run, {"exporter": "torchscript", "inputs": {"x": {}}})
    fed = {e.name: e.to_array() for e in read_record(tmp_path / "m.trace.json").probe.inputs}
    _, (x, _) = pair()
    assert ran.code == 0
    assert list(fed) == ["x"]
    np.testing.assert_array_equal(fed["x"], x.numpy())


def test_a_shape_of_one_input_leaves_the_others(run: Run, tmp_path: Path) -> None:
    """--input-shape changes the input that it names, also of a factory's positional ones."""
    options = ["--exporter", "torchscript", "--input-shape", f"x=2x3x{WIDTH}:float32"]
    assert run("trace", PAIR, "m.onnx", *options).code == 0
    fed = {e.name: e.to_array() for e in read_record(tmp_path / "m.trace.json").probe.inputs}
    _, (x, mask) = pair()
    np.testing.assert_array_equal(fed["mask"], mask.numpy())
    assert not np.array_equal(fed["x"], x.numpy())


MISFITS = {
    "an input that is not there": ({"inputs": {"y": {"shape": [1]}}}, "no input y"),
    "an axis that is not there": ({"dynamic_axes": {"x": {"7": "far"}}}, "no axis 7"),
    "axes of nothing": ({"dynamic_axes": {"y": {"0": "far"}}}, "no input y"),
    "too few names": ({"output_names": ["one"]}, "2 tensors"),
    "an input's name": ({"output_names": ["x", "mean"]}, "an input has it"),
    "a range that does not fit": (
        {"inputs": {"x": {}, "mask": {"dtype": "uint8", "range": [0, 256]}}},
        "range of input mask",
    ),
    "halves among whole numbers": (
        {"inputs": {"x": {}, "mask": {"dtype": "int64", "range": [0, 0.5]}}},
        "range of input mask",
    ),
    "attention of no transformer": ({"attention": "eager"}, "--attention"),
    "text for no tokenizer": ({"input_text": "words"}, "--input-text"),
    "a task of a factory": ({"task": "fill-mask"}, "--task"),
}


@pytest.mark.parametrize(("config", "named"), MISFITS.values(), ids=MISFITS.keys())
def test_what_does_not_fit_the_model_is_refused(
    run: Run, tmp_path: Path, config: dict[str, object], named: str
) -> None:
    """One sentence that names it, and no file."""
    ran = configured(run, config)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert named in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformers model in a folder, without a tokenizer."""
    path = tmp_path_factory.mktemp("model")
    config = AutoConfig.for_model(
        *("bert",), hidden_size=8, num_hidden_layers=1, num_attention_heads=2, vocab_size=20
    )
    AutoModel.from_config(config).save_pretrained(path)
    return path


def marked_attention(*args: object, **options: object) -> tuple[torch.Tensor, None]:
    """Attention that leaves an operator in the graph which no model has."""
    actual, _ = ALL_ATTENTION_FUNCTIONS["sdpa"](*args, **options)
    return torch.atan(actual), None


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_the_attention_implementation_arrives(
    folder: Path, tmp_path: Path, exporter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is made of the implementation that was asked for, and no other."""
    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._global_mapping, "marked", marked_attention)
    operators = {}
    for name in ("marked", "sdpa", "eager"):
        options = TraceOptions(
            exporter=Exporter(exporter),
            attention=name,
            inputs={"input_ids": InputSpec()},
            probe=False,
        )
        loaded = load_from_config(str(folder), options)
        target = tmp_path / f"{name}.onnx"
        done = trace_loaded(loaded, target, options)
        operators[name] = [op.op_type for op in done.record.ops]
    assert set(operators["marked"]) - set(operators["sdpa"]) == {torch.atan.__name__.capitalize()}
    assert operators["eager"] != operators["sdpa"]


def test_an_unknown_attention_implementation_is_refused(run: Run, folder: Path) -> None:
    """One sentence that names it."""
    ran = run("trace", folder, "m.onnx", "--attention", "psychic")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "psychic" in ran.err


GUIDE = (Path(__file__).parents[2] / "docs" / "exporting.md").read_text()


def test_the_guide_does_what_it_says(tmp_path: Path) -> None:
    """Its files and commands, in their order; the table of keys lists all keys."""
    run_document(GUIDE, tmp_path)
    config = read_export_config(tmp_path / "export_config.json")
    graph = onnx.load(tmp_path / "configured.onnx").graph
    assert tuple(value.name for value in graph.output) == config.output_names
    assert {value.name: dims(value) for value in graph.input} == {
        name: list(axes.values()) for name, axes in config.dynamic_axes.items()
    }
    assert not (tmp_path / "nowhere.onnx").exists()
    listed = re.findall(r"^\| (`[\w`, ]+`) \|", GUIDE.partition("| key |")[2], re.MULTILINE)
    keys = {key for cell in listed for key in re.findall(r"`(\w+)`", cell)}
    assert keys == set(ExportConfig.__struct_fields__)
