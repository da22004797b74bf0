"""A file of fewer bits: local errors, and the measured gain of leaving modules out."""

import json
import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

from modelexport.errors import UsageError
from modelexport.rewriter import Numeric, NumericComparison, annotate, compare
from tests.helpers.commands import Run
from tests.helpers.handmade import parse, record_of, two_layers, two_layers_record
from tests.helpers.traced import TracedModels, open_session

WEIGHTS = {"/Net/layer.0/fc": "layer.0.fc.weight", "/Net/layer.1/fc": "layer.1.fc.weight"}
SCALES = {"layer.0.fc.weight": 0.02, "layer.1.fc.weight": 0.2}
INPUT = np.linspace(-1, 2, 12, dtype=np.float32).reshape(3, 4)


def weight(model: onnx.ModelProto, name: str) -> np.ndarray:
    return next(numpy_helper.to_array(w) for w in model.graph.initializer if w.name == name)


def quantised(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """A copy in which some weights are 8-bit integers, dequantised in the graph."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for name in names:
        integers = np.clip(np.rint(weight(model, name) / SCALES[name]), -128, 127)
        stored = [w for w in copy.graph.initializer if w.name != name]
        del copy.graph.initializer[:]
        copy.graph.initializer.extend(stored)
        for part, array in (
            ("integers", integers.astype(np.int8)),
            ("scale", np.float32(SCALES[name])),
        ):
            tensor = numpy_helper.from_array(np.asarray(array), f"{name}.{part}")
            copy.graph.initializer.append(tensor)
        node = helper.make_node("DequantizeLinear", [f"{name}.integers", f"{name}.scale"], [name])
        copy.graph.node.insert(0, node)
    return copy


def outputs(model: onnx.ModelProto, folder: Path, *names: str) -> list[np.ndarray]:
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    known = {value.name for value in exposed.graph.output}
    exposed.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in known)
    onnx.save(exposed, folder / "exposed.onnx")
    actual: list[np.ndarray] = open_session(folder / "exposed.onnx").run(list(names), {"x": INPUT})
    return actual


def relative(exact: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(other - exact) / np.linalg.norm(exact))


@pytest.fixture
def files(working_folder: Path) -> tuple[Path, Path]:
    """An annotated float file, and one with both layers quantised; the inputs beside them."""
    model = two_layers()
    onnx.save(model, "float.plain.onnx")
    annotate("float.plain.onnx", two_layers_record(model), "float.onnx")
    onnx.save(quantised(onnx.load("float.onnx"), list(SCALES)), "int8.onnx")
    np.savez("inputs.npz", x=INPUT)
    return working_folder / "float.onnx", working_folder / "int8.onnx"


def numeric(files: tuple[Path, Path], **options: object) -> NumericComparison:
    settings = Numeric(probe=Path("inputs.npz"), **options)  # type: ignore[arg-type]
    result = compare(*files, numeric=settings).numeric
    assert result is not None
    return result


def test_the_local_error_is_that_of_the_module_on_exact_inputs(
    files: tuple[Path, Path], working_folder: Path
) -> None:
    """The second layer reads exact numbers, whatever the first one makes of its own."""
    model = two_layers()
    read, exact = outputs(model, working_folder, "p0", "a1")
    stored = quantised(model, ["layer.1.fc.weight"])
    integers = weight(stored, "layer.1.fc.weight.integers").astype(np.float32)
    expected = read @ (integers * SCALES["layer.1.fc.weight"]) + weight(model, "layer.1.fc.bias")
    (whole,) = outputs(quantised(model, list(SCALES)), working_folder, "a1")
    rows = {row.tag: row for row in numeric(files).local}
    row = rows["/Net/layer.1/fc"]
    assert row.relative == pytest.approx(relative(exact, expected), rel=1e-4)
    assert row.cumulative == pytest.approx(relative(exact, whole), rel=1e-4)
    assert row.snr_db == pytest.approx(-20 * math.log10(relative(exact, expected)), rel=1e-4)


_MASKED = """
m (float[3,4] x, bool[3,4] hidden) => (float[3,4] y) {
    m = Where (hidden, low, none)
    a = MatMul (x, weight)
    b = Add (a, m)
    p = Softmax (b)
    c = MatMul (p, other)
    y = Add (c, x)
}
"""


def masked() -> onnx.ModelProto:
    """A layer that reads a mask, and one behind it. Float's least number stands for infinity."""
    model = parse(_MASKED)
    numbers = np.random.default_rng(0).standard_normal((2, 4, 4)).astype(np.float32)
    arrays = {"weight": numbers[0], "other": numbers[1], "none": np.float32(0)}
    arrays["low"] = np.finfo(np.float32).min
    for name, array in arrays.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return model


@pytest.mark.usefixtures("working_folder")
def test_another_number_for_infinity_is_no_error_of_a_module() -> None:
    """Half precision has -65504 in its masks. What is computed from them agrees."""
    model = masked()
    modules = {"": "Net", "mask": "Mask", "layer": "Layer", "head": "Linear"}
    record = record_of(model, modules, ["mask", "layer", "layer", "layer", "head", ""])
    onnx.save(model, "plain.onnx")
    annotate("plain.onnx", record, "float.onnx")
    half = onnx.load("float.onnx")
    for tensor in half.graph.initializer:
        array = np.clip(numpy_helper.to_array(tensor), -65504, 65504)
        rounded = array.astype(np.float16).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))
    onnx.save(half, "half.onnx")
    np.savez("inputs.npz", x=INPUT, hidden=np.arange(12).reshape(3, 4) % 4 == 3)
    result = numeric((Path("float.onnx"), Path("half.onnx")), suggest=True)
    assert ("/Net/mask", "m") in {(value.tag, value.value) for value in result.unaligned}
    rows = {row.tag: row for row in result.local}
    assert "/Net/mask" not in rows
    assert 0 < (rows["/Net/layer"].relative or 0) < 1e-2
    assert 0 < (rows["/Net/head"].relative or 0) < 1e-2


def test_errors_of_modules_stand_before_those_of_the_whole(
    files: tuple[Path, Path], run: Run
) -> None:
    """And the text says how to find out what to leave out of quantisation."""
    ran = run("compare", *files, "--numeric", "--probe", "inputs.npz")
    parts = [
        "they diverge first",
        "add more than",
        "--suggest measures",
        "values of the whole file",
    ]
    places = [ran.out.index(part) for part in parts]
    assert places == sorted(places)
    suggesting = run("compare", *files, "--numeric", "--probe", "inputs.npz", "--suggest")
    assert "leaving these modules out" in suggesting.out
    assert "--suggest measures" not in suggesting.out


def test_modules_stand_in_the_order_of_their_local_errors(files: tuple[Path, Path]) -> None:
    """The layer with the coarser weights comes first; modules that only add have no error."""
    local = numeric(files).local
    errors = [row.relative or 0.0 for row in local]
    assert errors == sorted(errors, reverse=True)
    assert local[0].tag == "/Net/layer.1/fc"
    assert {row.tag for row in local if row.relative} == set(WEIGHTS)


def test_the_gain_is_that_of_a_file_without_the_module(
    files: tuple[Path, Path], working_folder: Path
) -> None:
    """Each measured gain is that of a file in which only the other layer is quantised."""
    model = two_layers()
    (exact,) = outputs(model, working_folder, "y")
    (whole,) = outputs(quantised(model, list(SCALES)), working_folder, "y")
    suggestion = numeric(files, suggest=True).suggestion
    assert suggestion is not None
    assert suggestion.error == pytest.approx(relative(exact, whole), rel=1e-4)
    assert suggestion.measured.keys() == WEIGHTS.keys()
    for tag, name in WEIGHTS.items():
        (left,) = outputs(quantised(model, [n for n in SCALES if n != name]), working_folder, "y")
        gain = 20 * math.log10(relative(exact, whole) / relative(exact, left))
        assert suggestion.measured[tag] == pytest.approx(gain, rel=1e-3)
    best = max(suggestion.measured, key=suggestion.measured.__getitem__)
    assert suggestion.steps[0].tag == best
    assert suggestion.steps[0].gain_db == suggestion.steps[0].alone_db == suggestion.measured[best]
    assert suggestion.steps[-1].error < 1e-6  # with both left out, nothing is quantised


def test_depth_joins_modules(files: tuple[Path, Path], working_folder: Path) -> None:
    """A layer stands for what is inside it, in errors and in suggestions."""
    settings = Numeric(probe=working_folder / "inputs.npz", suggest=True)
    result = compare(*files, numeric=settings, depth=1).numeric
    assert result is not None
    assert result.suggestion is not None
    assert {row.tag for row in result.local if row.relative} == {"/Net/layer.0", "/Net/layer.1"}
    names = {name for step in result.suggestion.steps for name in step.nodes}
    assert {"proj0", "relu0", "proj1", "relu1"} <= names


def test_files_of_equal_precision_have_no_local_errors(files: tuple[Path, Path]) -> None:
    """They are told only for a file of fewer bits."""
    assert numeric((files[0], files[0])).local == []


def test_the_command_gives_what_the_quantiser_takes(
    traced: TracedModels, working_folder: Path, run: Run
) -> None:
    """The suggested nodes stay as they are when the quantiser is told them; others do not."""
    plain, record = traced("bert", "torchscript").onnx_path, traced("bert", "torchscript")
    quantize_dynamic(plain, "int8.onnx")
    line = ("compare", plain, "int8.onnx", "--record", record.record_path, "--numeric", "--suggest")
    told = run(*line, "--output-format", "json")
    assert told.code == 1
    suggestion = json.loads(told.out)["numeric"]["suggestion"]
    excluded = suggestion["nodes_to_exclude"]
    assert {name for step in suggestion["steps"] for name in step["nodes"]} <= set(excluded)
    quantize_dynamic(plain, "without.onnx", nodes_to_exclude=excluded)
    whole, without = (
        {n.output[0] for n in onnx.load(working_folder / name).graph.node if n.op_type == "MatMul"}
        for name in ("int8.onnx", "without.onnx")
    )
    gemms = {n.name: n.output[0] for n in onnx.load(plain).graph.node if n.op_type == "Gemm"}
    products = {n.name: n.output[0] for n in onnx.load(plain).graph.node if n.op_type == "MatMul"}
    chosen = {products[n] for n in excluded if n in products}
    chosen |= {f"{gemms[n]}_MatMul" for n in excluded if n in gemms}
    assert without - whole == chosen - whole
    assert chosen - whole
    text = run(*line)
    assert suggestion["steps"][0]["tag"] in text.out
    assert f"nodes_to_exclude: {', '.join(excluded)}" in text.out
    first, *_ = suggestion["steps"]
    options = f"--module {first['tag']} --format ort"
    assert f"modelexport select {plain.name} {options} " in text.out
    selected = run("select", plain, *options.split(), "--record", record.record_path)
    assert set(first["nodes"]) <= set(json.loads(selected.out)["nodes_to_exclude"])


def test_files_without_a_common_output_are_refused(
    files: tuple[Path, Path], working_folder: Path
) -> None:
    """Then no gain can be measured."""
    other = onnx.load("int8.onnx")
    other.graph.node.append(helper.make_node("ReduceSum", ["y"], ["sum"], keepdims=0))
    del other.graph.output[:]
    other.graph.output.append(helper.make_tensor_value_info("sum", onnx.TensorProto.FLOAT, []))
    onnx.save(other, "part.onnx")
    with pytest.raises(UsageError, match="no gain can be measured"):
        numeric((files[0], working_folder / "part.onnx"), suggest=True)
