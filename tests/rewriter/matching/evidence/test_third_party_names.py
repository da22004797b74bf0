"""Scopes of torch's exporters and tag attributes of older tools."""

import onnx
import pytest
from onnx import helper, numpy_helper

from modelexport.hierarchy import keys
from modelexport.hierarchy.module_tree import Module
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.carried_hierarchy import (
    ATTRIBUTES,
    SCOPED_NAMES,
    TORCH,
    CarriedHierarchy,
)
from modelexport.rewriter.matching.evidence.claims import Claim
from modelexport.rewriter.matching.evidence.scoped_names import read_scoped_names
from modelexport.rewriter.matching.evidence.third_party_names import (
    read_tag_attributes,
    read_torch_metadata,
    tag_attributes,
    weight_owners,
)
from tests.helpers.annotated import with_entries
from tests.helpers.values import noise


def with_weights(model: onnx.ModelProto, *names: str) -> onnx.ModelProto:
    for name in names:
        model.graph.initializer.append(numpy_helper.from_array(noise(2), name))
    return model


def claims(actual: CarriedHierarchy | None) -> dict[int, Claim]:
    assert actual is not None
    return {key.position: claim for key, claim in actual.claims.by_node.items()}


def modules(actual: CarriedHierarchy | None) -> dict[int, str]:
    return {position: claim.module for position, claim in claims(actual).items()}


def torch_file(
    *scopes: object, classes: object = None, weights: tuple[str, ...] = ()
) -> onnx.ModelProto:
    """A file whose nodes have such lists of scopes, and the same list of classes each."""
    entries = [
        {keys.TORCH_NAME_SCOPES: repr(names), keys.TORCH_CLASS_HIERARCHY: repr(classes or [])}
        for names in scopes
    ]
    return with_weights(with_entries(entries), *weights)


def read_torch(model: onnx.ModelProto) -> CarriedHierarchy | None:
    return read_torch_metadata(model, ModelGraph(model))


def test_the_last_but_one_scope_is_the_module() -> None:
    """The last one is the op itself; the classes are those of the scopes."""
    classes = ["pkg.Net", "pkg.A", "torch.nn.B", "aten"]
    model = torch_file(["", "a", "a.b", "relu"], ["", "a", "tanh"], classes=classes)
    actual = read_torch(model)
    assert claims(actual) == {0: Claim("a.b", "carried"), 1: Claim("a", "carried")}
    assert actual is not None
    assert actual.scheme == TORCH
    assert actual.modules == (
        Module("", "Net", "pkg"),
        Module("a", "A", "pkg"),
        Module("a.b", "B", "torch.nn"),
    )


@pytest.mark.parametrize(
    "scopes",
    [
        "",
        "[",
        "relu",
        "{'': 1}",
        "['relu']",
        "[]",
        "['a', 'a.b', 'relu']",
        "[1, 2]",
        "1",
        "{'': 1, 'a': 2}",
    ],
)
def test_what_torch_writes_on_its_own_ops_is_no_scope(scopes: str) -> None:
    """A list that begins with the root is one; anything else under the key is not."""
    assert read_torch(with_entries([{keys.TORCH_NAME_SCOPES: scopes}])) is None


def test_nodes_without_scopes_have_no_claim() -> None:
    """A file may have them on some of its nodes; without classes the graph's name is the root's."""
    model = torch_file(["", "a", "relu"])
    actual = read_torch(model)
    assert modules(actual) == {0: "a"}
    assert actual is not None
    assert actual.modules == (Module("", "g", ""), Module("a", "", ""))


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (("a.w", "a.b.w"), {0: "a.b", 1: ""}),
        (("wrapped.a.w", "wrapped.a.b.w"), {0: "wrapped.a.b", 1: "wrapped"}),
        (("other.w", "w"), {0: "wrapped.a.b", 1: "wrapped"}),
        ((), {0: "wrapped.a.b", 1: "wrapped"}),
    ],
)
def test_a_wrapper_that_the_weights_do_not_know_is_left_out(
    weights: tuple[str, ...], expected: dict[int, str]
) -> None:
    """The exporter put a module around the model."""
    model = torch_file(
        ["", "wrapped", "wrapped.a", "wrapped.a.b", "relu"],
        ["", "wrapped", "tanh"],
        weights=weights,
    )
    assert modules(read_torch(model)) == expected


def test_the_class_of_the_wrapped_model_is_the_roots() -> None:
    """And that of the wrapper goes with it."""
    model = torch_file(
        ["", "m", "m.a", "relu"], classes=["W", "Net", "A", "aten"], weights=("a.w",)
    )
    actual = read_torch(model)
    assert actual is not None
    assert actual.modules == (Module("", "Net", ""), Module("a", "A", ""))


def test_a_module_beside_the_wrapper_is_not_the_root() -> None:
    """A path that does not begin with the wrapper's stays as it is."""
    classes = ["W", "Net", "Other", "A", "aten"]
    model = torch_file(["", "m", "zz", "m.a", "relu"], classes=classes, weights=("a.w",))
    actual = read_torch(model)
    assert actual is not None
    assert actual.modules == (Module("", "Net", ""), Module("a", "A", ""))


def test_the_root_keeps_its_class_where_there_is_no_wrapper() -> None:
    """Two first steps, and the class of each module."""
    actual = read_torch(torch_file(["", "m", "x"], ["", "n", "x"], classes=["Net", "Part", "aten"]))
    assert actual is not None
    assert actual.modules[0] == Module("", "Net", "")


def test_only_a_common_first_step_is_a_wrapper() -> None:
    """Two children of the root are modules of the model, nodes of the root itself aside."""
    model = torch_file(["", "m", "m.a", "x"], ["", "n", "n.a", "x"], weights=("a.w",))
    assert modules(read_torch(model)) == {0: "m.a", 1: "n.a"}
    root = torch_file(["", "m", "m.a", "x"], ["", "x"], weights=("a.w",))
    assert modules(read_torch(root)) == {0: "a", 1: ""}
    longer = torch_file(["", "m", "m.a", "x"], ["", "mm", "x"], weights=("a.w",))
    assert modules(read_torch(longer)) == {0: "m.a", 1: "mm"}


def test_more_weights_must_know_the_inside_than_the_whole() -> None:
    """As many on both sides leave the path as it is."""
    model = torch_file(["", "m", "m.a", "x"], weights=("a.w", "m.a.w"))
    assert modules(read_torch(model)) == {0: "m.a"}


def with_attributes(*texts: str | None, name: str = keys.LEGACY_TAG_ATTRIBUTE) -> ModelGraph:
    model = with_entries()
    for node, text in zip(model.graph.node, texts, strict=False):
        node.attribute.append(helper.make_attribute("other", "/Net/other"))
        if text is not None:
            node.attribute.append(helper.make_attribute(name, text))
    return ModelGraph(model)


@pytest.mark.parametrize("name", [keys.TAG_ATTRIBUTE, keys.LEGACY_TAG_ATTRIBUTE])
def test_tag_attributes_are_read(name: str) -> None:
    """Ours and those of older tools; what is no tag is left out."""
    graph = with_attributes("/Net/a/b", None, "no tag", name=name)
    assert {key.position: tag for key, tag in tag_attributes(graph).items()} == {
        0: "/Net/a/b",
        2: "no tag",
    }
    actual = read_tag_attributes(graph)
    assert claims(actual) == {0: Claim("a.b", "carried")}
    assert actual is not None
    assert actual.scheme == ATTRIBUTES
    assert [module.path for module in actual.modules] == ["", "a", "a.b"]


def test_attributes_that_are_no_tags_are_no_hierarchy() -> None:
    """Nor those that are no text."""
    assert read_tag_attributes(with_attributes("no tag")) is None
    graph = with_attributes()
    broken = helper.make_attribute(keys.TAG_ATTRIBUTE, b"/Net/\xff")
    graph.nodes[0].attribute.append(broken)
    assert list(tag_attributes(graph).values()) == ["/Net/\ufffd"]


def scoped(*names: str, weights: tuple[str, ...] = ()) -> CarriedHierarchy | None:
    """The hierarchy of three nodes of these names: Relu, Tanh and Exp."""
    model = with_weights(with_entries(), *weights)
    for node, name in zip(model.graph.node, names, strict=False):
        node.name = name
    return read_scoped_names(model, ModelGraph(model))


def test_names_of_scopes_end_with_the_operator() -> None:
    """A number may follow it; other names are no scopes."""
    actual = scoped("/a/b/Relu", "/a/Tanh_12", "/Exp")
    assert claims(actual) == {
        0: Claim("a.b", "carried"),
        1: Claim("a", "carried"),
        2: Claim("", "carried"),
    }
    assert actual is not None
    assert actual.scheme == SCOPED_NAMES
    assert actual.modules == (Module("", "g", ""), Module("a", "", ""), Module("a.b", "", ""))


@pytest.mark.parametrize(
    "name", ["a/Relu", "Relu", "", "/a/Other", "/a/Relu_", "/a/Relu_1x", "/a/xRelu", "/Relu", "/"]
)
def test_other_names_are_no_scopes(name: str) -> None:
    """Nor is the root's alone: any tool may write that."""
    assert scoped(name, "t", "e") is None


@pytest.mark.parametrize(
    ("name", "weights", "expected"),
    [
        ("/layer/layer.0/fc/Relu", (), "layer.0.fc"),
        ("/layer/layer.0/layer.0.fc/Relu", (), "layer.0.fc"),
        ("/layer/layers/Relu", (), "layer.layers"),
        ("/layer/layer.0/Relu", ("layer.layer.0.w",), "layer.layer.0"),
        ("/layer/layer.0/Relu", ("layer.layer.0.fc.w",), "layer.layer.0"),
        ("/layer/layer.0/Relu", ("layer.layer.00.w", "layer.0.w"), "layer.0"),
        ("/a/layer/layer.0/Relu", ("layer.layer.0.w",), "a.layer.0"),
    ],
)
def test_called_containers_are_not_doubled(
    name: str, weights: tuple[str, ...], expected: str
) -> None:
    """Unless the name of a weight says that there is a module of the doubled path."""
    assert modules(scoped(name, "/b/Tanh", weights=weights))[0] == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("/a/b/c/Tanh_quant", "a.b.c"),
        ("/a/b/Tanh/Fused", "a.b"),
        ("/a/b/x/y/Tanh_quant", "a.b"),
        ("/a/x/Tanh_quant", "a"),
        ("/x/Tanh_quant", None),
        ("/Tanh_quant", None),
        ("/w/x/Tanh_quant", "w"),
        ("/w/w.0/x/Tanh_quant", "w.0"),
    ],
)
def test_a_name_that_a_tool_changed_has_the_innermost_known_scope(
    name: str, expected: str | None
) -> None:
    """Known are the scopes of other names and those above them, and the owners of weights."""
    actual = scoped("/a/b/c/Relu", name, weights=("w.0.v",))
    assert modules(actual).get(1) == expected


def test_a_wrapper_of_scoped_names_is_left_out() -> None:
    """As with torch's metadata."""
    assert modules(scoped("/m/a/Relu", "/m/Tanh", weights=("a.w",))) == {0: "a", 1: ""}


def test_the_owners_of_weights_are_in_their_names() -> None:
    """What stands before the last dot; a name without a dot has none."""
    model = with_weights(with_entries(), "a.b.w", "a.v", "w", "x.")
    assert weight_owners(model) == {"a.b", "a", "x"}
