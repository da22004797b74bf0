"""Neighbours with, and without, the nodes that pass values through."""

from onnx import parser

from modelexport.rewriter.graph.graph_view import ContractedGraph, GraphView
from modelexport.rewriter.graph.indexed_graph import IndexedGraph
from modelexport.rewriter.graph.model_graph import ModelGraph
from tests.helpers.handmade import HEADER

CASTS = """g (float[2,2] x) => (float[2,2] y) <float[2,2] w = {1,2,3,4}> {
    c = Cast <to = 1> (x)
    v = Transpose (w)
    h = MatMul (c, v)
    r = Reshape (h, shape)
    t = Mul (r, one)
    y = Add (t, h)
}"""
CAST, TRANSPOSE, MATMUL, RESHAPE, MUL, ADD = range(6)


def indexed() -> IndexedGraph:
    return ModelGraph(parser.parse_model(HEADER + CASTS)).indexed


def test_a_plain_view_has_every_node() -> None:
    """Neighbours are the nodes that produce and consume, casts and reshapes included."""
    graph = indexed()
    view = GraphView(graph)
    assert not any(view.pass_through)
    assert list(view.predecessors(MATMUL)) == [CAST, TRANSPOSE]
    assert list(view.successors(MATMUL)) == [RESHAPE, ADD]
    assert list(view.consumers(graph.value_of("", "x"))) == [CAST]
    assert view.initializer_consumers == {graph.value_of("", "w"): [TRANSPOSE]}


def test_a_contracted_graph_looks_through_casts_and_reshapes() -> None:
    """A node reads the values behind them, and its successors are those beyond them."""
    graph = indexed()
    view = ContractedGraph(graph, {})
    assert [n for n, passes in enumerate(view.pass_through) if passes] == [CAST, TRANSPOSE, RESHAPE]
    assert list(view.inputs(MATMUL)) == [graph.value_of("", name) for name in "xw"]
    assert list(view.predecessors(MATMUL)) == []
    assert list(view.predecessors(MUL)) == [MATMUL]
    assert list(view.successors(MATMUL)) == [MUL, ADD]
    assert list(view.consumers(graph.value_of("", "x"))) == [MATMUL]
    assert view.initializer_consumers == {graph.value_of("", "w"): [TRANSPOSE, MATMUL]}


def test_a_contracted_graph_looks_through_what_values_told() -> None:
    """A multiplication by one is contracted when comparing values has found it."""
    graph = indexed()
    view = ContractedGraph(graph, {MUL: graph.value_of("", "r")})
    assert view.pass_through[MUL]
    assert view.origin[graph.value_of("", "t")] == graph.value_of("", "h")
    assert list(view.predecessors(ADD)) == [MATMUL, MATMUL]
    assert list(view.successors(MATMUL)) == [ADD]
