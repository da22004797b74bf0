"""A file that has the module tree and no tags: names are read against the tree."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.hierarchy.module_tree import Module, ModuleTree, Parameter
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.claims import Claim
from modelexport.rewriter.matching.evidence.tree_names import (
    claims_by_tree,
    module_in_name,
    resolve_relative_tags,
    weight_owners_by_node,
)
from tests.helpers.handmade import parse

Shapes = Mapping[str, tuple[int, ...]]

NOT_TOLD = "its tag is lost, and neither its name nor its weights tell a module of the tree"


def module(path: str, *parameters: Parameter, alias_of: str | None = None) -> Module:
    return Module(path, "Part", parameters=parameters, calls=1, alias_of=alias_of)


TREE = ModuleTree(
    [
        module(""),
        module("a", Parameter("v", (2,))),
        module("a.0", Parameter("w", (2, 3))),
        module("a.1", Parameter("w", (2, 3))),
        module("b", Parameter("w", (4,))),
        module("b.c", Parameter("w", (2, 6))),
        module("z", alias_of="b"),
    ]
)


def file_of(nodes: str, weights: Shapes) -> tuple[onnx.ModelProto, ModelGraph]:
    model = parse("g (float[2] x) => (float[2] y) {" + nodes + "}", weights)
    return model, ModelGraph(model)


def owners(
    nodes: str, weights: Shapes, tree: ModuleTree = TREE, **parameters: str
) -> dict[str, tuple[str, ...]]:
    """The owners of the weights of each node, by the node's name."""
    model, graph = file_of(nodes, weights)
    actual = weight_owners_by_node(model, graph, tree, parameters)
    return {graph.nodes[number].name: paths for number, paths in actual.items()}


def test_a_node_reads_the_weights_of_its_module() -> None:
    """By their own names, or by what the file says; a node that passes one on owns nothing."""
    nodes = "[p] p = MatMul (x, a.0.w) [t] t = Transpose (one) [q] y = Gemm (p, t, a.v)"
    weights = {"a.0.w": (2, 3), "one": (3, 2), "a.v": (2,)}
    assert owners(nodes, weights, one="a.1.w") == {"p": ("a.0",), "q": ("a", "a.1")}


def test_a_weight_of_no_module_tells_nothing() -> None:
    """Nor one of another size than its parameter."""
    nodes = "[p] p = Add (x, one) [q] y = MatMul (p, a.0.w)"
    assert owners(nodes, {"one": (2,), "a.0.w": (3, 3)}) == {}


def test_a_tied_weight_tells_nothing() -> None:
    """It is that of several modules."""
    untied = ModuleTree([module(""), module("a", Parameter("v", (2,)))])
    assert owners("[p] y = Add (x, a.v)", {"a.v": (2,)}, untied) == {"p": ("a",)}
    tied = ModuleTree([*untied, module("b", Parameter("t", (2,), tied_to="a.v"))])
    assert owners("[p] y = Add (x, a.v)", {"a.v": (2,)}, tied) == {}
    buffer = Module("b", "Part", buffers=(Parameter("t", (2,), tied_to="a.v"),))
    assert owners("[p] y = Add (x, a.v)", {"a.v": (2,)}, ModuleTree([*untied, buffer])) == {}


def test_a_shared_weight_of_the_shape_of_an_absent_one_tells_nothing() -> None:
    """Exporters keep one of several equal weights; the absent one may be transposed."""
    nodes = "[p] p = MatMul (x, a.0.w) [q] y = MatMul (p, a.0.w)"
    whole = {"a.0.w": (2, 3), "a.1.w": (2, 3)}
    assert owners(nodes, whole) == {"p": ("a.0",), "q": ("a.0",)}
    assert owners(nodes, {"a.0.w": (2, 3)}) == {}
    assert owners(nodes, {"a.0.w": (3, 2)}) == {}
    assert owners("[p] y = MatMul (x, a.0.w)", {"a.0.w": (2, 3)}) == {"p": ("a.0",)}


def test_a_sparse_weight_is_no_parameter() -> None:
    """Its name may be one; it does not hold what the parameter holds."""
    model, _ = file_of("[p] p = Neg (x) [q] y = Neg (p)", {})
    for node in model.graph.node:
        node.input.append("a.0.w")
    values = numpy_helper.from_array(np.ones(1, np.float32), "a.0.w")
    places = numpy_helper.from_array(np.zeros(1, np.int64), "places")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [2, 3]))
    assert weight_owners_by_node(model, ModelGraph(model), TREE, {}) == {}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("/a/a.0/MatMul", "a.0"),
        ("/a/0/MatMul", "a.0"),
        ("a/MatMul", "a"),
        ("/a/MatMul/Fused", "a"),
        ("/a/MatMul_1/Fused", "a"),
        ("/a/other/MatMul", None),
        ("/a/0/1/MatMul", None),
        ("/other/a/MatMul", None),
        ("/b/c/Relu", "b.c"),
        ("/b/b.c/Relu", "b.c"),
        ("/b/c/b.c/Relu", None),
        ("//b//c/Relu", "b.c"),
        ("/b%2Ec/Relu", "b.c"),
        ("/z/Relu", "b"),
        ("/z/Relu/x", "b"),
        ("/Relu/Fused", None),
        ("/MatMul", None),
        ("a", None),
        ("", None),
    ],
)
def test_the_scopes_in_a_name_are_modules_of_the_tree(name: str, path: str | None) -> None:
    """A container may be doubled, and operators may follow; any other step is in doubt."""
    assert module_in_name(name, TREE) == path


def test_a_deep_container_may_be_doubled() -> None:
    """Each step may repeat the last name of the module above it, and only that."""
    tree = ModuleTree(map(module, ("", "m", "m.n", "m.n.0", "m.n.0.k", "m.n.0.k.1", "n", "n.0")))
    assert module_in_name("/m/n/n.0/k/k.1/Relu", tree) == "m.n.0.k.1"
    assert module_in_name("/m/m.n/m.n.0/Relu", tree) == "m.n.0"
    assert module_in_name("/m/n.0/Relu", tree) == "m.n.0"


def test_weights_tell_more_than_names() -> None:
    """With the modules that a node covers, and a reason where neither tells."""
    nodes = """[n0] p = Gemm (x, a.0.w, a.v) [n1] q = Relu (p) [n2] r = Relu (q)
        [n3] y = MatMul (r, b.c.w)"""
    model, graph = file_of(nodes, {"a.0.w": (2, 3), "a.v": (2,), "b.c.w": (2, 6)})
    for node, name in zip(model.graph.node, ("/b/Gemm", "/b/Relu", "Relu", ""), strict=True):
        node.name = name
    claims = claims_by_tree(model, graph, TREE, {})
    assert claims.by_node == {
        NodeKey("", 0): Claim("a", "carried", ("a", "a.0")),
        NodeKey("", 1): Claim("b", "carried"),
        NodeKey("", 3): Claim("b.c", "carried"),
    }
    assert claims.reasons == {NodeKey("", 2): NOT_TOLD}


PATHS = ("", "l", "l.0", "l.0.a", "l.0.b", "l.1", "l.1.a", "l.1.b", "l.2", "l.2.a", "l.2.b")
SHAPES = {f"l.{layer}.a.w": (2, 2) for layer in range(3)} | {"l.0.g": (3,), "l.1.b.u": (5,)}
LAYERS = ModuleTree(
    module(
        path,
        *(
            Parameter(name.rpartition(".")[2], shape)
            for name, shape in SHAPES.items()
            if name.rpartition(".")[0] == path
        ),
    )
    for path in PATHS
)
TAG_PATHS = {"/Net/" + path.replace(".", "/").replace("l/", "l."): path for path in PATHS[1:]}
TAG_PATHS["/Net"] = ""


def resolved(
    *nodes: tuple[str, str | None, str | None], paths: Mapping[str, str] | None = None
) -> list[str | None]:
    """The absolute tags of nodes.

    Args:
        nodes: Operator, tag and weight of each node. The nodes feed each other.
        paths: Module path by tag, of the modules that have one.
    """
    lines = []
    for number, (operator, _, weight) in enumerate(nodes):
        inputs = f"v{number}" + (f", {weight}" if weight else "")
        lines.append(f"v{number + 1} = {operator} ({inputs})")
    text = f"g (float[2] v0) => (float[2] v{len(nodes)}) {{ {' '.join(lines)} }}"
    model = parse(text, SHAPES)
    graph = ModelGraph(model)
    tags = {key: tag for key, (_, tag, _) in zip(graph.keys, nodes, strict=True) if tag is not None}
    paths = paths or TAG_PATHS
    actual = resolve_relative_tags(tags, model, graph, LAYERS, {}, paths)
    return [actual.get(key) for key in graph.keys]


def call(layer: int, *, known: bool = True) -> Sequence[tuple[str, str | None, str | None]]:
    """The nodes of one call of a function: three relative tags and a node without one."""
    weight = f"l.{layer}.a.w" if known else None
    return [
        ("Relu", ".", None),
        ("MatMul", "a", weight),
        ("Cast", None, None),
        ("Tanh", "b", None),
    ]


def tags_of(layer: int) -> list[str | None]:
    base = f"/Net/l.{layer}"
    return [base, f"{base}/a", None, f"{base}/b"]


def test_calls_follow_each_other() -> None:
    """Each is a copy of one body: what stands before and behind the known node is of its call."""
    actual = resolved(*call(0), *call(1), *call(2))
    assert actual == [*tags_of(0), *tags_of(1), *tags_of(2)]


def test_a_call_without_a_known_node_is_taken_for_the_one_before() -> None:
    """Where none of its weights tells, nothing says where it begins."""
    assert resolved(*call(1)) == tags_of(1)
    assert resolved(*call(1, known=False)) == [None] * 4


def test_tagged_nodes_part_runs_of_calls() -> None:
    """Behind a node of the model itself another call may begin, at any of its nodes."""
    outside = ("Exp", "/Net", None)
    actual = resolved(*call(0)[1:], outside, *call(1)[:2], outside, outside, *call(2))
    assert actual == [*tags_of(0)[1:], None, *tags_of(1)[:2], None, None, *tags_of(2)]


def test_bodies_that_differ_are_told_by_their_own_nodes_alone() -> None:
    """Another operator, another tag, or a call that begins elsewhere."""
    assert resolved(*call(0), ("Exp", ".", None), *call(1)[1:]) == [
        *[None, "/Net/l.0/a", None, None],
        *[None, "/Net/l.1/a", None, None],
    ]
    assert resolved(*call(0), ("Relu", "b", None), *call(1)[1:])[5] == "/Net/l.1/a"
    assert resolved(*call(0), *call(1)[1:])[:1] == [None]


def test_calls_that_are_mixed_are_told_by_their_own_nodes_alone() -> None:
    """A call goes on behind another one: the nodes between them may be of either."""
    actual = resolved(*call(0), *call(1), *call(0))
    assert actual == [tag and (tag if tag.endswith("a") else None) for tag in actual]
    assert [tag for tag in actual if tag] == ["/Net/l.0/a", "/Net/l.1/a", "/Net/l.0/a"]


def test_a_call_may_have_several_known_nodes() -> None:
    """They agree about it."""
    again = [*call(0), ("MatMul", "a", "l.0.a.w")]
    actual = resolved(*again, *call(1), ("MatMul", "a", "l.1.a.w"))
    assert actual == [*tags_of(0), "/Net/l.0/a", *tags_of(1), "/Net/l.1/a"]


def test_absolute_tags_are_not_resolved() -> None:
    """They are known, also where a weight says another module."""
    assert resolved(("MatMul", "/Net/l.1/a", "l.0.a.w")) == [None]


def test_a_weight_of_another_module_than_the_tag_tells_nothing() -> None:
    """The tag ends with other steps than the module's."""
    assert resolved(("MatMul", "b", "l.0.a.w")) == [None]
    assert resolved(("MatMul", ".", "l.0.a.w")) == ["/Net/l.0/a"]
    assert resolved(("MatMul", "0/a", "l.0.a.w")) == [None]


def test_the_weight_of_a_container_tells_nothing_of_its_children() -> None:
    """The tag of the node is that of another module than the weight's."""
    assert resolved(("MatMul", "a", "l.0.g")) == [None]


def test_a_node_without_a_tag_tells_no_call() -> None:
    """Its weight may be read outside of all calls."""
    assert resolved(("MatMul", None, "l.0.a.w"), ("Tanh", "b", None)) == [None, None]


def test_a_module_without_a_tag_tells_no_call() -> None:
    """Tags of some depth leave the inner modules out."""
    cut = {tag: path for tag, path in TAG_PATHS.items() if path != "l.1.a"}
    nodes = (("MatMul", "a", "l.1.a.w"), ("Tanh", "b", None))
    assert resolved(*nodes, paths=cut) == [None, None]
    assert resolved(*nodes) == ["/Net/l.1/a", "/Net/l.1/b"]


def test_a_numbered_child_is_relative_to_its_container() -> None:
    """Its number is joined to the container's name."""
    assert resolved(("MatMul", ".0/a", "l.0.a.w")) == ["/Net/l.0/a"]
    assert resolved(("MatMul", ".0/a", "l.0.a.w"), ("Relu", ".0/b", None)) == [
        "/Net/l.0/a",
        "/Net/l.0/b",
    ]


def test_a_tag_that_the_tree_has_not_stays_open() -> None:
    """The call is known; the module in it is not."""
    assert resolved(("MatMul", "a", "l.0.a.w"), ("Relu", "q", None)) == ["/Net/l.0/a", None]


def test_weights_of_several_modules_tell_no_call() -> None:
    """The node may be of any of them."""
    text = """g (float[2] x) => (float[2] y) { y = Gemm (x, l.0.a.w, l.1.a.w) }"""
    model = parse(text, {"l.0.a.w": (2, 2), "l.1.a.w": (2, 2)})
    graph = ModelGraph(model)
    tags = {graph.keys[0]: "a"}
    assert resolve_relative_tags(tags, model, graph, LAYERS, {}, TAG_PATHS) == {}


def test_the_file_says_which_parameters_its_initializers_hold() -> None:
    """By another name, they tell as much."""
    model = parse("g (float[2] x) => (float[2] y) { y = MatMul (x, one) }", {"one": (2, 2)})
    graph = ModelGraph(model)
    actual = resolve_relative_tags(
        {graph.keys[0]: "a"}, model, graph, LAYERS, {"one": "l.1.a.w"}, TAG_PATHS
    )
    assert actual == {graph.keys[0]: "/Net/l.1/a"}
