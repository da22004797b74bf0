"""Names of weights tell the module of the nodes that read them."""

from collections.abc import Mapping

import numpy as np
from onnx import helper, numpy_helper

from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.carried_hierarchy import (
    WEIGHT_NAMES,
    CarriedHierarchy,
)
from modelexport.rewriter.matching.evidence.claims import Claim
from modelexport.rewriter.matching.evidence.weight_names import read_weight_names
from tests.helpers.handmade import parse

NO_WEIGHT = "it reads no weight whose name tells a module"
TIED = "the weight that it reads may be tied, so its name tells nothing"

Shapes = Mapping[str, tuple[int, ...]]


def read(nodes: str, weights: Shapes) -> CarriedHierarchy | None:
    model = parse("g (float[2] x) => (float[2] y) {" + nodes + "}", weights)
    return read_weight_names(model, ModelGraph(model))


def named(nodes: str, weights: Shapes) -> dict[str, object]:
    """The claim of each node, else the reason why there is none."""
    model = parse("g (float[2] x) => (float[2] y) {" + nodes + "}", weights)
    graph = ModelGraph(model)
    actual = read_weight_names(model, graph)
    assert actual is not None
    said = actual.claims.by_node | actual.claims.reasons
    return {node.name: said.get(key) for key, node in zip(graph.keys, graph.nodes, strict=True)}


def carried(module: str, *covers: str) -> Claim:
    return Claim(module, "carried", covers)


def test_a_node_that_reads_a_parameter_is_of_its_module() -> None:
    """The others say that they read none."""
    nodes = "[p] a = MatMul (x, a.b.weight) [q] b = Relu (a) [r] y = Add (b, c.bias)"
    weights = {"a.b.weight": (2, 2), "c.bias": (2,)}
    assert named(nodes, weights) == {"p": carried("a.b"), "q": NO_WEIGHT, "r": carried("c")}
    actual = read(nodes, weights)
    assert actual is not None
    assert actual.scheme == WEIGHT_NAMES
    assert [module.path for module in actual.modules] == ["", "a", "a.b", "c"]
    assert actual.modules[0].class_name == "g"


def test_names_that_are_no_parameters_tell_nothing() -> None:
    """A name without a module, or whose end is no name of Python's."""
    nodes = "[p] a = MatMul (x, w) [q] b = Add (a, a.0) [r] y = Add (b, .w)"
    assert read(nodes, {"w": (2, 2), "a.0": (2,), ".w": (2,)}) is None


def test_a_weight_may_be_transposed_on_its_way() -> None:
    """The node that passes it on has no claim; its reader has."""
    nodes = "[t] t = Transpose (a.w) [p] y = MatMul (x, t)"
    assert named(nodes, {"a.w": (2, 2)}) == {"t": None, "p": carried("a")}


def test_a_node_that_reads_weights_of_several_modules_has_their_ancestor() -> None:
    """And covers them."""
    weights = {"a.b.w": (2, 2), "a.c.v": (2,), "a.b.v": (2,)}
    actual = named("[p] y = Gemm (x, a.b.w, a.c.v) [q] z = Add (x, a.b.v)", weights)
    assert actual == {"p": carried("a", "a.b", "a.c"), "q": carried("a.b")}


def test_two_weights_of_one_module_are_one_module() -> None:
    """It covers nothing else."""
    assert named("[p] y = Gemm (x, a.w, a.v)", {"a.w": (2, 2), "a.v": (2,)})["p"] == carried("a")


def test_a_weight_that_several_nodes_read_may_be_tied() -> None:
    """It may be a parameter of another module, too."""
    nodes = "[p] a = MatMul (x, a.w) [q] b = Mul (a, a.w) [r] y = Add (b, c.v)"
    assert named(nodes, {"a.w": (2, 2), "c.v": (2,)}) == {"p": TIED, "q": TIED, "r": carried("c")}
    again = "[p] a = Gemm (x, a.w, c.v) [q] y = Mul (a, a.w)"
    assert named(again, {"a.w": (2, 2), "c.v": (2,)}) == {"p": carried("c"), "q": TIED}


def test_an_unnamed_matrix_of_its_size_may_be_a_copy() -> None:
    """An exporter lays a tied matrix out anew for one of its readers."""
    nodes = "[p] a = MatMul (x, a.w) [q] b = MatMul (a, copy) [r] y = MatMul (b, c.w)"
    weights = {"a.w": (2, 6), "copy": (6, 2), "c.w": (2, 5)}
    assert named(nodes, weights) == {"p": TIED, "q": NO_WEIGHT, "r": carried("c")}


def test_vectors_of_equal_size_are_no_copies() -> None:
    """There are many of each size, named or not."""
    nodes = "[p] a = Add (x, a.v) [q] b = Add (a, one) [r] y = MatMul (b, c.w)"
    weights = {"a.v": (4,), "one": (2, 2), "c.w": (2, 3)}
    assert named(nodes, weights)["p"] == carried("a")
    weights = {"a.v": (2, 3), "one": (6,), "c.w": (3, 3)}
    assert named(nodes, weights)["p"] == carried("a")


def test_a_file_without_such_names_carries_nothing() -> None:
    """Nor does one whose weights may all be tied."""
    assert read("[p] y = MatMul (x, w)", {"w": (2, 2)}) is None
    assert read("[p] a = MatMul (x, a.w) [q] y = Mul (a, a.w)", {"a.w": (2, 2)}) is None


def test_weights_of_subgraphs_tell_their_modules() -> None:
    """Their names are looked up in their own graph."""
    text = """g (bool c, float[2] x) => (float[2] y) {
        [if] y = If (c) <
            then_branch = t () => (float[2] p) { [n] p = Relu (x) },
            else_branch = e () => (float[2] q) { [m] q = Neg (x) }
        >
        [k] z = Add (x, c.v)
    }"""
    model = parse(text, {"c.v": (2,)})
    branch = model.graph.node[0].attribute[0].g
    branch.node[0].op_type = "Add"
    branch.node[0].input.append("a.v")
    branch.initializer.append(numpy_helper.from_array(np.ones(2, np.float32), "a.v"))
    graph = ModelGraph(model)
    actual = read_weight_names(model, graph)
    assert actual is not None
    names = {key: node.name for key, node in zip(graph.keys, graph.nodes, strict=True)}
    assert {names[key]: c.module for key, c in actual.claims.by_node.items()} == {
        "n": "a",
        "k": "c",
    }


def test_a_sparse_weight_is_no_copy_of_another() -> None:
    """Its size is not looked at; its name tells its module."""
    nodes = "[p] a = MatMul (x, w) [q] y = MatMul (a, copy)"
    model = parse("g (float[2] x) => (float[2] y) {" + nodes + "}", {"copy": (2, 2)})
    values = numpy_helper.from_array(np.ones(1, np.float32), "a.w")
    places = numpy_helper.from_array(np.zeros(1, np.int64), "places")
    model.graph.node[0].input[1] = "a.w"
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [2, 2]))
    actual = read_weight_names(model, ModelGraph(model))
    assert actual is not None
    assert [claim.module for claim in actual.claims.by_node.values()] == ["a"]
