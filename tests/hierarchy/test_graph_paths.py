"""Addresses of graphs and nodes: paths of subgraphs, and what stands around them."""

import onnx
from onnx import helper, parser

from modelexport.hierarchy.graph_paths import (
    MAIN,
    op_type,
    parent_graph,
    split_subgraph_path,
    subgraph_path,
    walk_graphs,
)
from tests.helpers.handmade import HEADER


def test_a_subgraph_path_says_where_the_subgraph_stands() -> None:
    """The graph around it, the node's position there, and the attribute that holds it."""
    for parent, position, attribute in (
        (MAIN, 7, "then_branch"),
        ("/7.then_branch", 0, "body"),
        ("@local:f", 12, "graphs[3]"),
        ("@a/b:f/c:v", 1, "body"),
    ):
        path = subgraph_path(parent, position, attribute)
        assert split_subgraph_path(path) == (parent, position, attribute)
        assert parent_graph(path) == parent


def test_the_main_graph_and_functions_have_no_parent() -> None:
    """A slash in the name of a function does not make a subgraph of it."""
    for path in (MAIN, "@local:f", "@a/b:f", "@a:b/c"):
        assert split_subgraph_path(path) is None
        assert parent_graph(path) is None


def test_walking_a_model_gives_each_graph_its_path() -> None:
    """Parents come before subgraphs, and functions come last; equal names are numbered."""
    model = parser.parse_model(
        HEADER
        + """g (float[2] x, bool c) => (float[2] y) {
            h = Neg (x)
            y = If (c) <then_branch = yes () => (float[2] a) { a = Neg (h) },
                        else_branch = no () => (float[2] b) { b = Abs (h) }>
        }
        <domain: "local", opset_import: ["" : 17]> f (a) => (b) { b = Abs (a) }"""
    )
    model.functions.append(model.functions[0])
    paths = ["", "/1.then_branch", "/1.else_branch", "@local:f", "@local:f#2"]
    places = list(walk_graphs(model))
    assert [place.path for place in places] == paths
    assert [place.parent for place in places] == [parent_graph(path) for path in paths]


def test_an_operator_is_named_with_its_domain_unless_that_is_the_default() -> None:
    """The default domain has two names."""
    kinds = [op_type(helper.make_node("Gelu", [], [], domain=d)) for d in ("", "ai.onnx", "ms")]
    assert kinds == ["Gelu", "Gelu", "ms::Gelu"]


def test_a_function_whose_name_is_no_text_has_a_path() -> None:
    """Damaged files have such names; protobuf gives their bytes."""
    name = "overload"
    node = helper.make_node("Identity", ["x"], ["y"])
    opset = [helper.make_opsetid("", 18)]
    function = helper.make_function("here", "f", ["x"], ["y"], [node], opset, overload=name)
    graph = helper.make_graph([], "g", [], [])
    model = helper.make_model(graph, functions=[function])
    damaged = model.SerializeToString().replace(name.encode(), b"\xff" * len(name))
    [_, located] = walk_graphs(onnx.ModelProto.FromString(damaged))
    assert located.path == "@here:f:" + r"\xff" * len(name)
