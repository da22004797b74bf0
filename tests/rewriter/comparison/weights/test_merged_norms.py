"""Weights are compared whether or not a norm is merged into them, and whoever is known to work."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from modelexport.hierarchy import keys
from modelexport.hierarchy.module_tree import EmbeddedTree, Module, Parameter
from modelexport.rewriter import ChangedWeight, Numeric, compare
from tests.helpers.handmade import parse

APART = """g (float[1, 3, 2, 2] x) => (float[1, 3, 2, 2] y) {
    a = Conv (x, c0.weight, c0.bias)
    b = BatchNormalization <epsilon = 0.001> (a, n0.weight, n0.bias, n0.mean, n0.var)
    c = Conv (b, c1.weight, c1.bias)
    y = BatchNormalization <epsilon = 0.001> (c, n1.weight, n1.bias, n1.mean, n1.var)
}"""
MERGED = """g (float[1, 3, 2, 2] x) => (float[1, 3, 2, 2] y) {
    b = Conv (x, c0.weight, c0.bias)
    y = Conv (b, c1.weight, c1.bias)
}"""
AHEAD = """g (float[1, 3, 2, 2] x) => (float[1, 3, 2, 2] y) {
    a = Conv (x, c0.weight, c0.bias)
    b = Mul (a, n0.scale)
    c = Add (b, n0.shift)
    d = Conv (c, c1.weight, c1.bias)
    e = Mul (d, n1.scale)
    y = Add (e, n1.shift)
}"""
VECTORS = ("weight", "bias", "mean", "var")
Arrays = dict[str, np.ndarray]


def arrays() -> Arrays:
    """The weights of two convolutions and two norms."""
    random = np.random.default_rng(1)
    numbers = {f"c{i}.weight": random.standard_normal((3, 3, 1, 1)) for i in (0, 1)}
    numbers |= {f"c{i}.bias": random.standard_normal(3) for i in (0, 1)}
    norms = {f"n{i}.{name}": random.uniform(0.5, 2, 3) for i in (0, 1) for name in VECTORS}
    return {name: a.astype(np.float32) for name, a in (numbers | norms).items()}


def merged(weights: Arrays) -> Arrays:
    """The weights of the convolutions with the norms behind them."""
    result = {}
    for i in (0, 1):
        scale = weights[f"n{i}.weight"] / np.sqrt(weights[f"n{i}.var"] + 0.001)
        shift = weights[f"n{i}.bias"] - weights[f"n{i}.mean"] * scale
        result[f"c{i}.weight"] = weights[f"c{i}.weight"] * scale.reshape(3, 1, 1, 1)
        result[f"c{i}.bias"] = weights[f"c{i}.bias"] * scale + shift
    return {name: array.astype(np.float32) for name, array in result.items()}


def computed_ahead(weights: Arrays) -> Arrays:
    """The weights of the convolutions, and the factors and summands of the norms."""
    result = {name: array for name, array in weights.items() if name.startswith("c")}
    for i in (0, 1):
        scale = weights[f"n{i}.weight"] / np.sqrt(weights[f"n{i}.var"] + np.float32(0.001))
        shift = weights[f"n{i}.bias"] - weights[f"n{i}.mean"] * scale
        result |= {f"n{i}.scale": scale.reshape(3, 1, 1), f"n{i}.shift": shift.reshape(3, 1, 1)}
    return result


def tree(weights: Arrays) -> EmbeddedTree:
    """The modules, each with its weights."""
    children = (
        Module(
            path,
            "Part",
            parameters=tuple(
                Parameter(name.partition(".")[2], array.shape)
                for name, array in weights.items()
                if name.startswith(f"{path}.")
            ),
        )
        for path in ("c0", "n0", "c1", "n1")
    )
    return EmbeddedTree((Module("", "Net"), *children))


def network(variant: str, weights: Arrays) -> onnx.ModelProto:
    """A file in which norms are apart, or merged into nodes that are known to do both, or one.

    Apart, they may be computed ahead: a factor and a summand for each channel.
    """
    text, stored = {
        "apart": (APART, weights),
        "ahead": (AHEAD, computed_ahead(weights)),
    }.get(variant, (MERGED, merged(weights)))
    model = parse(text, {name: array.shape for name, array in stored.items()})
    for weight in model.graph.initializer:
        weight.CopyFrom(numpy_helper.from_array(stored[weight.name], weight.name))
    for node in model.graph.node:
        owner = node.input[1].partition(".")[0]
        is_both = variant == "both"
        node.metadata_props.add(key=keys.TAG, value="/Net" if is_both else f"/Net/{owner}")
        if is_both:
            covers = [f"/Net/{owner}", f"/Net/{owner.replace('c', 'n')}"]
            node.metadata_props.add(key=keys.COVERS, value=msgspec.json.encode(covers).decode())
    model.metadata_props.add(key=keys.MODULES, value=tree(weights).to_json())
    return model


def in_eight_bits(model: onnx.ModelProto) -> None:
    """Store the matrices in eight bits."""
    for node in [n for n in model.graph.node if n.op_type == "Conv"]:
        name = node.input[1]
        weight = next(w for w in model.graph.initializer if w.name == name)
        array = numpy_helper.to_array(weight)
        scale = np.float32(np.abs(array).max() / 127)
        model.graph.initializer.remove(weight)
        model.graph.initializer.extend(
            (
                numpy_helper.from_array(np.rint(array / scale).astype(np.int8), f"{name}/int8"),
                numpy_helper.from_array(np.asarray(scale), f"{name}/scale"),
            )
        )
        node.input[1] = f"{name}/real"
        real = helper.make_node(
            "DequantizeLinear", [f"{name}/int8", f"{name}/scale"], node.input[1:2]
        )
        real.metadata_props.extend(node.metadata_props)
        model.graph.node.insert(0, real)


def changed_weights(
    reference: str, changed: str, change: Callable[[Arrays], None]
) -> list[ChangedWeight]:
    """The weights that are told to be changed, of two files of these variants."""
    onnx.save(network(reference, arrays()), "a.onnx")
    weights = arrays()
    change(weights)
    model = network(changed, weights)
    in_eight_bits(model)
    onnx.save(model, "b.onnx")
    np.savez("inputs.npz", x=np.linspace(-1, 2, 12, dtype=np.float32).reshape(1, 3, 2, 2))
    options = Numeric(probe=Path("inputs.npz"), tolerance=0)
    numeric = compare("a.onnx", "b.onnx", numeric=options).numeric
    assert numeric is not None
    return numeric.weights


def noise(weights: Arrays) -> None:
    weights["c1.weight"] += 0.1 * np.random.default_rng(2).standard_normal((3, 3, 1, 1))


def swap(weights: Arrays) -> None:
    weights["c1.weight"] = np.roll(weights["c1.weight"], 1, axis=0)


def only_the_bias(weights: Arrays) -> None:
    weights["c1.bias"] *= np.float32(1.05)


PAIRS = [
    (reference, changed)
    for reference in ("apart", "both", "one")
    for changed in ("apart", "both", "one")
    if reference == "apart" or changed != "apart"
]


@pytest.mark.usefixtures("working_folder")
@pytest.mark.parametrize("change", [noise, swap, only_the_bias])
@pytest.mark.parametrize(("reference", "changed"), PAIRS)
def test_the_changed_convolution_is_named(
    reference: str, changed: str, change: Callable[[Arrays], None]
) -> None:
    """It alone, whichever modules its node is known to work for in each file."""
    assert {w.tag for w in changed_weights(reference, changed, change)} == {"/Net/c1"}


@pytest.mark.usefixtures("working_folder")
@pytest.mark.parametrize(("reference", "changed"), PAIRS)
def test_rounded_weights_are_not_changed(reference: str, changed: str) -> None:
    """Merging a norm is no change."""
    assert changed_weights(reference, changed, lambda _: None) == []


@pytest.mark.usefixtures("working_folder")
@pytest.mark.parametrize("change", [noise, swap, only_the_bias])
def test_norms_may_be_computed_ahead(change: Callable[[Arrays], None]) -> None:
    """Their factors and summands are compared then, and those of convolutions as they are."""
    assert changed_weights("apart", "ahead", lambda _: None) == []
    assert {w.tag for w in changed_weights("apart", "ahead", change)} == {"/Net/c1"}


def other_mean(weights: Arrays) -> None:
    weights["n1.mean"] += np.float32(0.2)


@pytest.mark.usefixtures("working_folder")
@pytest.mark.parametrize("changed", ["apart", "ahead"])
def test_a_changed_norm_is_named(changed: str) -> None:
    """By itself, however it is computed."""
    assert {w.tag for w in changed_weights("apart", changed, other_mean)} == {"/Net/n1"}


@pytest.mark.usefixtures("working_folder")
@pytest.mark.parametrize("reference", ["both", "one"])
def test_nothing_is_said_where_only_the_reference_has_merged_weights(reference: str) -> None:
    """They are products of two weights of the other file."""
    assert changed_weights(reference, "apart", noise) == []
