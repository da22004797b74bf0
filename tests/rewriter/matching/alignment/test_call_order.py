"""Weights that are read several times: the order of the calls tells their readers apart."""

import pytest

from modelexport.rewriter.graph.graph_view import GraphView
from modelexport.rewriter.graph.indexed_graph import IndexedGraph, NodeRow
from modelexport.rewriter.matching.alignment.call_order import pair_calls
from tests.helpers.aligned import Aligned

CALLS = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16,16] v = {2}> {
    [first] a = MatMul (x, w)
    [between] b = Neg (a)
    [second] c = MatMul (b, w)
    [once] d = MatMul (c, v)
    [third] y = MatMul (d, w)
}"""
TWICE = CALLS.replace("[third] y = MatMul (d, w)", "[third] y = Neg (d)")
APART = CALLS.replace("MatMul (b, w)", "MatMul (x, w)")


def paired(file: str, record: str, weights: dict[str, list[str]]) -> list[list[tuple[str, str]]]:
    case = Aligned(file, record, weights=weights)
    calls = pair_calls(case.graphs.file, case.graphs.record, case.graphs.weights)
    return [[(case.node_name(node), case.op_name(op)) for node, op in pairs] for pairs in calls]


def test_the_readers_of_a_weight_are_paired_in_their_order() -> None:
    """A weight with one reader needs no order."""
    assert paired(CALLS, CALLS, {"w": ["w"], "v": ["v"]}) == [
        [("first", "first"), ("second", "second"), ("third", "third")]
    ]


@pytest.mark.parametrize(
    ("file", "record", "weights"),
    [
        (TWICE, CALLS, {"w": ["w"]}),
        (CALLS, TWICE, {"w": ["w"]}),
        (APART, CALLS, {"w": ["w"]}),
        (CALLS, APART, {"w": ["w"]}),
        (CALLS, CALLS, {"w": ["w", "v"]}),
        (CALLS, CALLS, {}),
    ],
)
def test_nothing_is_paired_where_order_does_not_tell(
    file: str, record: str, weights: dict[str, list[str]]
) -> None:
    """Another number of calls, calls that do not depend on each other, or an unsure weight."""
    assert paired(file, record, weights) == []


@pytest.mark.parametrize(("steps", "found"), [(20_000, True), (20_001, False)])
def test_the_search_visits_20000_nodes_at_most(steps: int, found: bool) -> None:
    """Holds MOST_CALL_SEARCH_STEPS: the first call and each node up to the second are visited."""
    rows: list[NodeRow] = [("", "MatMul", ["x", "w"], ["v0"])]
    rows += [("", "Neg", [f"v{i}"], [f"v{i + 1}"]) for i in range(steps - 1)]
    rows.append(("", "MatMul", [f"v{steps - 1}", "w"], ["y"]))
    view = GraphView(IndexedGraph(rows, [("", "w")]))
    pairs = list(pair_calls(view, view, {0: frozenset([0])}))
    assert pairs == ([[(0, 0), (steps, steps)]] if found else [])
