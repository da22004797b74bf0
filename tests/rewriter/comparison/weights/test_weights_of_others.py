"""The weights that a node reads of another module, or in which only the order was changed."""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from modelexport.hierarchy import keys
from modelexport.hierarchy.module_tree import EmbeddedTree, Module, Parameter
from modelexport.rewriter import Numeric, NumericComparison, compare
from tests.helpers.handmade import parse

TABLE = (6, 4)
TEXT = """g (float[6, 4] x) => (float[6, 4] y) {
    rows = Constant <value_ints = [5, 4, 3, 2, 1, 0]> ()
    a = Gather (places.weight, rows)
    y = Add (x, a)
}"""
READ_AROUND = """g (float[6, 4] x) => (float[6, 4] y) {
    y = Add (x, places.weight)
}"""
SHARED = """g (float[6, 4] x) => (float[6, 6] y) {
    a = Add (x, places.weight)
    b = Transpose <perm = [1, 0]> (places.weight)
    y = MatMul (a, b)
}"""
COPIED = """g (float[6, 4] x) => (float[6, 6] y) {
    a = Add (x, places.weight)
    y = MatMul (a, copy)
}"""
Change = Callable[[np.ndarray], np.ndarray]


def noise(array: np.ndarray) -> np.ndarray:
    return array + 0.1 * np.random.default_rng(3).standard_normal(array.shape)


def exchanged_rows(array: np.ndarray) -> np.ndarray:
    return np.roll(array, 1, axis=0)


def network(
    text: str, tags: list[str], weights: Mapping[str, np.ndarray], owner: str | None = "places"
) -> onnx.ModelProto:
    """A file with a table of places, and a head that may share it.

    Args:
        text: Its nodes.
        tags: The module of each node.
        weights: Its weights.
        owner: The module whose parameter all weights are, as the file says; None if it does not.
    """
    model = parse(text, dict.fromkeys(weights, TABLE))
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name], tensor.name))
    for node, tag in zip(model.graph.node, tags, strict=True):
        node.metadata_props.add(key=keys.TAG, value=tag)
    parameters = (Parameter("weight", TABLE),)
    parts = (Module(name, "Table", parameters=parameters) for name in ("places", "head"))
    tree = EmbeddedTree((Module("", "Net"), *parts))
    model.metadata_props.add(key=keys.MODULES, value=tree.to_json())
    if owner is not None:
        parameters = msgspec.json.encode(dict.fromkeys(weights, f"{owner}.weight")).decode()
        model.metadata_props.add(key=keys.PARAMETERS, value=parameters)
    return model


def compared(before: onnx.ModelProto, after: onnx.ModelProto) -> NumericComparison:
    """The second file against the first."""
    onnx.save(before, "a.onnx")
    onnx.save(after, "b.onnx")
    np.savez("inputs.npz", x=np.linspace(-1, 2, 24, dtype=np.float32).reshape(TABLE))
    numeric = compare("a.onnx", "b.onnx", numeric=Numeric(probe=Path("inputs.npz"))).numeric
    assert numeric is not None
    return numeric


def table() -> np.ndarray:
    return np.random.default_rng(1).standard_normal(TABLE).astype(np.float32)


@pytest.mark.usefixtures("working_folder")
@pytest.mark.parametrize("change", [noise, exchanged_rows])
def test_a_table_of_which_fixed_rows_are_read_is_a_weight(change: Change) -> None:
    """No input reaches the node that reads it; and the order of its rows has a meaning."""
    tags = ["/Net", "/Net/places", "/Net"]
    before, after = (
        network(TEXT, tags, {"places.weight": array.astype(np.float32)})
        for array in (table(), change(table()))
    )
    numeric = compared(before, after)
    assert [(w.tag, w.reference) for w in numeric.weights] == [("/Net/places", "places.weight")]


@pytest.mark.usefixtures("working_folder")
@pytest.mark.parametrize("owner", ["places", None])
@pytest.mark.parametrize("change", [noise, exchanged_rows])
def test_a_weight_that_a_node_around_its_module_reads_is_its_modules(
    change: Change, owner: str | None
) -> None:
    """An exporter has computed ahead what the module returns: by its name, else by its numbers."""
    before = network(TEXT, ["/Net", "/Net/places", "/Net"], {"places.weight": table()})
    changed = change(table()).astype(np.float32)
    after = network(READ_AROUND, ["/Net"], {"places.weight": changed}, owner)
    numeric = compared(before, after)
    assert [(w.tag, w.reference) for w in numeric.weights] == [("/Net/places", "places.weight")]
    assert numeric.cause == "/Net/places"


@pytest.mark.usefixtures("working_folder")
def test_numbers_that_have_nothing_to_do_with_it_are_no_weight_of_another_module() -> None:
    """What a node around a module reads may be anything."""
    before = network(TEXT, ["/Net", "/Net/places", "/Net"], {"places.weight": table()})
    after = network(READ_AROUND, ["/Net"], {"places.weight": -table()}, None)
    assert compared(before, after).weights == []


@pytest.mark.usefixtures("working_folder")
def test_a_shared_weight_is_named_once() -> None:
    """By the module whose parameter it is, whoever else reads it."""
    tags = ["/Net/places", "/Net/head", "/Net/head"]
    before, after = (
        network(SHARED, tags, {"places.weight": array.astype(np.float32)})
        for array in (table(), noise(table()))
    )
    numeric = compared(before, after)
    assert [w.tag for w in numeric.weights] == ["/Net/places"]
    assert numeric.cause == "/Net/places"


@pytest.mark.usefixtures("working_folder")
@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (("places.weight",), ["/Net/places"]),
        (("copy",), ["/Net/head"]),
        (("places.weight", "copy"), ["/Net/places", "/Net/head"]),
    ],
)
def test_a_copy_of_a_shared_weight_is_named_by_the_module_that_reads_it(
    changed: tuple[str, ...], named: list[str]
) -> None:
    """If all copies were changed, the parameter's own module comes first."""
    tags = ["/Net/places", "/Net/head"]
    arrays = {"places.weight": table(), "copy": table().T}
    after = {name: noise(a) if name in changed else a for name, a in arrays.items()}
    files = (
        network(COPIED, tags, {n: np.ascontiguousarray(a, np.float32) for n, a in weights.items()})
        for weights in (arrays, after)
    )
    numeric = compared(*files)
    assert [w.tag for w in numeric.weights] == named
    assert numeric.cause == named[0]
