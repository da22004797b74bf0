"""A weight that was changed is told from one that was rounded."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from modelexport.rewriter import ChangedWeight, Numeric, annotate, compare
from tests.helpers.handmade import number_weights, two_layers, two_layers_record

RECORD = two_layers_record()
WEIGHT = "layer.1.fc.weight"
Change = Callable[[np.ndarray], np.ndarray]

CHANGES: dict[str, Change] = {
    "noise": lambda a: a + 0.05 * np.random.default_rng(5).standard_normal(a.shape),
    "scale": lambda a: a * 1.03,
    "swap": lambda a: np.roll(a, 1, axis=0),
    "fewer than half a step": lambda a: (
        a + 0.004 * np.random.default_rng(5).standard_normal(a.shape)
    ),
    "other": lambda a: np.random.default_rng(5).standard_normal(a.shape),
}


def _half(model: onnx.ModelProto) -> None:
    """Store the matrices in half precision."""
    for node in [n for n in model.graph.node if n.op_type == "MatMul"]:
        name = node.input[1]
        weight = next(w for w in model.graph.initializer if w.name == name)
        weight.CopyFrom(
            numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), name)
        )
        cast = helper.make_node("Cast", [name], [f"{name}/real"], to=onnx.TensorProto.FLOAT)
        node.input[1] = f"{name}/real"
        model.graph.node.insert(0, cast)


def _stored(model: onnx.ModelProto, *, per_channel: bool = False, asymmetric: bool = False) -> None:
    """Store the matrices in eight bits, behind DequantizeLinear."""
    for node in [n for n in model.graph.node if n.op_type == "MatMul"]:
        name = node.input[1]
        weight = next(w for w in model.graph.initializer if w.name == name)
        array = numpy_helper.to_array(weight)
        axis = 0 if per_channel else None
        low, high = array.min(axis=axis, initial=0), array.max(axis=axis, initial=0)
        scale = np.asarray(np.maximum(-low, high) / 127, np.float32)
        zero = np.zeros_like(scale, np.int8)
        if asymmetric:
            scale = np.asarray((high - low) / 255, np.float32)
            zero = np.asarray(np.rint(-low / scale), np.uint8)
        limits = np.iinfo(zero.dtype)
        integers = np.rint(array / scale) + zero.astype(float)
        integers = np.clip(integers, limits.min, limits.max).astype(zero.dtype)
        model.graph.initializer.remove(weight)
        model.graph.initializer.extend(
            numpy_helper.from_array(np.asarray(part), f"{name}/{kind}")
            for kind, part in (("int8", integers), ("scale", scale), ("zero", zero))
        )
        inputs = [f"{name}/int8", f"{name}/scale", f"{name}/zero"]
        real = helper.make_node("DequantizeLinear", inputs, [f"{name}/real"], axis=1)
        node.input[1] = f"{name}/real"
        model.graph.node.insert(0, real)


def _dynamic(model: onnx.ModelProto) -> None:
    """Let onnxruntime's quantiser turn the products into products of integers, with their tags."""
    products = {node.name: node for node in model.graph.node if node.op_type == "MatMul"}
    onnx.save(model, "float.onnx")
    quantize_dynamic("float.onnx", "int8.onnx", weight_type=QuantType.QUInt8)
    quantised = onnx.load("int8.onnx")
    for node in quantised.graph.node:
        product = products.get(node.name.partition("_quant")[0])
        if product is not None and not node.metadata_props:
            node.metadata_props.extend(product.metadata_props)
    model.CopyFrom(quantised)


FORMS: dict[str, Callable[[onnx.ModelProto], None]] = {
    "fp32": lambda _: None,
    "fp16": _half,
    "int8 by tensor": _stored,
    "int8 by channel": partial(_stored, per_channel=True),
    "uint8 by tensor": partial(_stored, asymmetric=True),
    "uint8 by channel": partial(_stored, per_channel=True, asymmetric=True),
    "int8 dynamic": _dynamic,
}


def changed_weights(
    store: Callable[[onnx.ModelProto], None], changes: dict[str, Change]
) -> tuple[list[ChangedWeight], str]:
    """The weights that are told to be changed, and the likely cause."""
    onnx.save(two_layers(), "plain.onnx")
    annotate("plain.onnx", RECORD, "a.onnx", force=True)
    model = onnx.load("a.onnx")
    for weight in model.graph.initializer:
        if weight.name in changes:
            array = changes[weight.name](numpy_helper.to_array(weight))
            weight.CopyFrom(numpy_helper.from_array(array.astype(np.float32), weight.name))
    store(model)
    onnx.save(model, "b.onnx")
    inputs = np.linspace(-1, 2, 12, dtype=np.float32).reshape(3, 4)
    np.savez("inputs.npz", x=inputs)
    numeric = compare(
        "a.onnx", "b.onnx", numeric=Numeric(probe=Path("inputs.npz"), tolerance=0)
    ).numeric
    assert numeric is not None
    return numeric.weights, str(numeric.cause)


@pytest.mark.usefixtures("working_folder")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("change", CHANGES)
def test_the_changed_weight_is_named(form: str, change: str) -> None:
    """It alone, and its module as the cause, in whatever form the file stores it."""
    weights, cause = changed_weights(FORMS[form], {WEIGHT: CHANGES[change]})
    assert [w.reference for w in weights] == [WEIGHT]
    assert {cause, *(w.tag for w in weights)} == {"/Net/layer.1/fc"}
    assert (weights[0].steps is None) == (form == "fp32")


@pytest.mark.usefixtures("working_folder")
@pytest.mark.parametrize("form", [form for form in FORMS if form != "fp32"])
def test_rounding_changes_nothing(form: str) -> None:
    """Each number is the nearest that the file can store."""
    weights, cause = changed_weights(FORMS[form], {})
    assert weights == []
    assert cause.startswith("/Net/layer.")


@pytest.mark.usefixtures("working_folder")
@pytest.mark.parametrize("form", ["fp32", "int8 by tensor"])
def test_a_changed_vector_is_named(form: str) -> None:
    """Its numbers have no other order in which they could be laid out."""
    bias = WEIGHT.replace("weight", "bias")
    weights, cause = changed_weights(FORMS[form], {bias: CHANGES["swap"]})
    assert [w.reference for w in weights] == [bias]
    assert cause == "/Net/layer.1/fc"


@pytest.mark.usefixtures("working_folder")
def test_a_quantiser_that_does_not_round_changes_no_weights() -> None:
    """It moves all of them, so nothing follows from that; those in full precision count."""
    every = {f"layer.{n}.fc.weight": CHANGES["noise"] for n in (0, 1)}
    assert changed_weights(FORMS["int8 by tensor"], every)[0] == []
    weights, _ = changed_weights(FORMS["fp32"], every)
    assert {w.reference for w in weights} == every.keys()


@pytest.mark.usefixtures("working_folder")
@pytest.mark.parametrize("form", [form for form in FORMS if " by " in form])
def test_a_changed_scale_is_a_changed_weight(form: str) -> None:
    """The stored integers stand for other numbers then."""

    def scaled(model: onnx.ModelProto) -> None:
        FORMS[form](model)
        scale = next(w for w in model.graph.initializer if w.name == f"{WEIGHT}/scale")
        array = numpy_helper.to_array(scale) * np.float32(1.02)
        scale.CopyFrom(numpy_helper.from_array(np.asarray(array), scale.name))

    assert_only_the_changed_one(scaled)


def assert_only_the_changed_one(store: Callable[[onnx.ModelProto], None]) -> None:
    weights, cause = changed_weights(store, {})
    assert [w.reference for w in weights] == [WEIGHT]
    assert cause == "/Net/layer.1/fc"


@pytest.mark.usefixtures("working_folder")
@pytest.mark.parametrize("form", [form for form in FORMS if form.startswith("uint8")])
def test_a_changed_zero_point_is_a_changed_weight(form: str) -> None:
    """The stored integers stand for other numbers then."""

    def moved(model: onnx.ModelProto) -> None:
        FORMS[form](model)
        zero = next(w for w in model.graph.initializer if w.name == f"{WEIGHT}/zero")
        array = numpy_helper.to_array(zero) + np.uint8(2)
        zero.CopyFrom(numpy_helper.from_array(np.asarray(array), zero.name))

    assert_only_the_changed_one(moved)


@pytest.mark.usefixtures("working_folder")
def test_names_are_not_needed() -> None:
    """Weights are found by the module that reads them, and by their numbers."""

    def number(model: onnx.ModelProto) -> None:
        model.CopyFrom(number_weights(model))

    weights, cause = changed_weights(number, {WEIGHT: CHANGES["noise"]})
    assert [w.reference for w in weights] == [WEIGHT]
    assert cause == "/Net/layer.1/fc"
