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


def test_an_unsure_weight_does_not_hide_the_next_one() -> None:
    """Each weight is looked at, whatever was found for the ones before it."""
    file = CALLS.replace("MatMul (c, v)", "MatMul (c, w)").replace("(b, w)", "(b, w, v)")
    file = file.replace("(a, w)", "(x, w, v)").replace("(x, w)", "(x, w, v)")
    weights = {"w": ["w", "v"], "v": ["v"]}
    assert paired(file, file, weights) == [[("first", "first"), ("second", "second")]]


def test_a_weight_that_no_op_reads_pairs_nothing() -> None:
    """The record may have a weight that only subgraphs or no op at all read."""
    assert paired(CALLS, CALLS.replace(", w)", ", x)"), {"w": ["w"]}) == []


def test_a_node_is_visited_once() -> None:
    """Ways that part and meet again, and lead nowhere, do not multiply the steps."""
    rungs = "".join(
        f"[l{n}] l{n} = Neg (r{n}) [k{n}] k{n} = Abs (r{n}) [r{n}] r{n + 1} = Add (l{n}, k{n})"
        for n in range(20)
    )
    text = f"""g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {{1}}> {{
        [first] a = MatMul (x, w) [between] b = Neg (a) [side] r0 = Abs (a)
        {rungs} [second] y = MatMul (b, w)
    }}"""
    expected = [[("first", "first"), ("second", "second")]]
    assert paired(text, text, {"w": ["w"]}) == expected


def called_at(*places: int, readers: int = 1) -> GraphView:
    """A chain of nodes; those at some places read one weight or several, numbered from 0."""
    weights = [f"w{number}" for number in range(readers)]
    rows: list[NodeRow] = [
        ("", "Gemm", [f"v{i}", *(weights if i in places else [])], [f"v{i + 1}"])
        for i in range(max(places) + 1)
    ]
    return GraphView(IndexedGraph(rows, [("", name) for name in weights]))


@pytest.mark.parametrize(("steps", "is_found"), [(20_000, True), (20_001, False)])
def test_the_search_visits_20000_nodes_at_most(steps: int, is_found: bool) -> None:
    """Holds MOST_CALL_SEARCH_STEPS: the first call and each node up to the second are visited."""
    view = called_at(0, steps)
    pairs = list(pair_calls(view, view, {0: frozenset([0])}))
    assert pairs == ([[(0, 0), (steps, steps)]] if is_found else [])


@pytest.mark.parametrize(("steps", "is_found"), [(10_000, True), (10_001, False)])
def test_all_searches_of_a_file_share_their_steps(steps: int, is_found: bool) -> None:
    """What the way to the second call takes is not there for the way to the third."""
    view = called_at(0, 10_000, 10_000 + steps)
    assert bool(list(pair_calls(view, view, {0: frozenset([0])}))) is is_found


def test_two_nodes_are_searched_once() -> None:
    """Two weights that the same two nodes read take the steps of one."""
    view = called_at(0, 15_000, readers=2)
    pairs = list(pair_calls(view, view, {0: frozenset([0]), 1: frozenset([1])}))
    assert pairs == [[(0, 0), (15_000, 15_000)]] * 2


def test_what_runs_after_a_call_does_not_lead_to_it() -> None:
    """Nodes behind the second call take no steps, however many they are."""
    rows: list[NodeRow] = [
        ("", "MatMul", ["x", "w"], ["a"]),
        ("", "Neg", ["a"], ["b"]),
        ("", "MatMul", ["b", "w"], ["y"]),
        ("", "Abs", ["a"], ["v0"]),
        *(("", "Neg", [f"v{i}"], [f"v{i + 1}"]) for i in range(20_000)),
    ]
    view = GraphView(IndexedGraph(rows, [("", "w")]))
    assert list(pair_calls(view, view, {0: frozenset([0])})) == [[(0, 0), (2, 2)]]
