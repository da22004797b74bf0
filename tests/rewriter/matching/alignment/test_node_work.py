"""What each node does once all pairs are known: no op missing, and none too many."""

import numpy as np
import pytest

from tests.helpers.aligned import Aligned, chain, numbers
from tests.helpers.node_work import begun, work

RESIDUAL = """g (float[8,16] x) => (float[8,16] y) <float[16] n = {1}, float[16] k = {2}> {
    [branch] b = Neg (x)
    [sum] s = Add (x, b)
    [square] q = Mul (s, s)
    [norm] r = Mul (q, n)
    [next] t = Tanh (r)
    [sum2] u = Add (s, t)
    [square2] v = Mul (u, u)
    [norm2] y = Mul (v, k)
}"""
SKIPPED = """g (float[8,16] x) => (float[8,16] y) <float[16] n = {1}, float[16] k = {2}> {
    [branch] b = Neg (x)
    [skip] r, s = other.SkipNorm (x, b, n)
    [next] t = Tanh (r)
    [skip2] y = other.SkipNorm (s, t, k)
}"""
SEEDS = {"branch": "branch", "skip": "norm", "next": "next", "skip2": "norm2"}


def test_a_sum_that_a_norm_returns_as_well_is_its_work() -> None:
    """With values, and without: then the second output has a reader that needs it."""
    expected = {
        "branch": {"branch"},
        "skip": {"sum", "square", "norm"},
        "next": {"next"},
        "skip2": {"sum2", "square2", "norm2"},
    }
    assert work(Aligned(SKIPPED, RESIDUAL), SEEDS) == expected
    values = {name: numbers(n) for n, name in enumerate("xbsrty")}
    case = Aligned(SKIPPED, RESIDUAL, file_values=values, record_values=values)
    assert work(case, SEEDS) == expected
    del values["s"]  # values do not tell whether it returns the sum, but it has a second reader
    case = Aligned(SKIPPED, RESIDUAL, file_values=values, record_values=values)
    assert work(case, SEEDS) == expected


def test_what_a_node_returns_is_told_by_values_where_they_are_exact() -> None:
    """Its second output is another value than the recorded sum, which it therefore leaves."""
    values = {name: numbers(n) for n, name in enumerate("xbrty")}
    recorded = {**values, "s": numbers(90)}
    case = Aligned(
        SKIPPED, RESIDUAL, file_values={**values, "s": numbers(91)}, record_values=recorded
    )
    assert "sum" not in work(case, SEEDS)["skip"]


def test_what_stands_before_a_result_that_is_returned_is_needed_for_that() -> None:
    """Other nodes need it only by way of the sum, which the node gives them."""
    scaled = RESIDUAL.replace("[sum] s = Add (x, b)", "[scale] p = Mul (b, b) [sum] s = Add (x, p)")
    ops = work(Aligned(SKIPPED, scaled), SEEDS)
    assert ops["skip"] == {"scale", "sum", "square", "norm"}


FORK = """g (float[8,16] x) => (float[8,16] a, float[8,16] b) {
    [p] p = Neg (x) [q] q = Sin (p) [a] a = Abs (p) [b] b = Exp (p)
}"""


def test_an_op_is_needed_elsewhere_if_another_node_reads_it() -> None:
    """What the node itself does or returns does not count."""
    case = Aligned(FORK, FORK)
    nodes = begun(case, {"a": "a", "b": "b"})
    assert nodes._is_needed_elsewhere(case.node("a"), case.op("p"))
    alone = begun(case, {"a": "a"})
    assert not alone._is_needed_elsewhere(case.node("a"), case.op("p"))
    alone._claim(case.node("a"), (case.op("q"),))
    assert not alone._is_needed_elsewhere(case.node("a"), case.op("p"))


@pytest.mark.parametrize(("length", "needed"), [(95, False), (96, True)])
def test_an_op_that_much_depends_on_counts_as_needed_elsewhere(length: int, needed: bool) -> None:
    """The search has an end."""
    record = f"""g (float[8,16] x) => (float[8,16] a, float[8,16] y) {{
        [p] p = Neg (x) [a] a = Abs (p)
        {chain(length, first="p")}
    }}"""
    case = Aligned(FORK, record)
    nodes = begun(case, {"a": "a"})
    assert nodes._is_needed_elsewhere(case.node("a"), case.op("p")) is needed


def test_values_tell_whether_a_node_returns_a_result() -> None:
    """None where they are not known."""
    arrays = {"a": numbers(1), "b": numbers(2)}
    case = Aligned(FORK, FORK, file_values=arrays, record_values=arrays)
    nodes = begun(case, {})
    a, b, q = case.op("a"), case.op("b"), case.op("q")
    node = case.node("a")
    assert [nodes._returns(node, op) for op in (a, b, q)] == [True, False, None]
    assert begun(Aligned(FORK, FORK), {})._returns(node, a) is None


def test_real_numbers_that_were_not_recorded_are_unknown() -> None:
    """Not whole numbers, no numbers, and what was not observed; without values everything is."""
    arrays = {
        "p": numbers(1),
        "q": numbers(2),
        "a": np.arange(16),
        "b": numbers(3, (1,)),
        "e": numbers(4, (0, 16)),
    }
    file = FORK.replace("}", "[e] e = Sin (q) }")
    case = Aligned(file, FORK, file_values=arrays, record_values={"p": arrays["p"]})
    nodes, graph = begun(case, {}), case.file.indexed
    assert {name: nodes._is_unknown(graph.value_of("", name)) for name in "pqabex"} == {
        "p": False,
        "q": True,
        "a": False,
        "b": True,
        "e": False,
        "x": False,
    }
    without = Aligned(FORK, FORK)
    assert begun(without, {})._is_unknown(without.file.indexed.value_of("", "p"))


@pytest.mark.parametrize("exact", [True, False])
def test_a_node_that_is_no_op_may_compute_something_unknown(exact: bool) -> None:
    """Exact values tell; shapes and constants are known."""
    file = FORK.replace("}", "[s] s = Shape (q) }")
    arrays = {"p": numbers(1), "q": numbers(2), "s": numbers(3)}
    case = Aligned(
        *(file, FORK),
        file_values=arrays,
        record_values={"p": arrays["p"]},
        rejects_mismatch=exact,
    )
    nodes = begun(case, {})
    unknown = {name: nodes._computes_unknown(case.node(name)) for name in "pqs"}
    assert unknown == {"p": not exact, "q": True, "s": False}
    without = Aligned(file, FORK)
    assert begun(without, {})._computes_unknown(without.node("p"))


MASKED = """g (float[8,16] x, float[8,16] m) => (float[8,16] y) {
    [mask] k = Neg (m)
    [one] a = Add (x, k)
    [soft] b = Tanh (a)
    [mid] c = Abs (b)
    [two] d = Add (c, k)
    [soft2] y = Tanh (d)
}"""
ATTENTION = """g (float[8,16] x, float[8,16] m) => (float[8,16] y) {
    [first] b = other.Attention (x, m)
    [mid] c = Abs (b)
    [second] y = other.Attention (c, m)
}"""


def test_what_other_nodes_need_as_well_is_no_work_of_one() -> None:
    """Each of two nodes makes a mask for itself that the record makes once for both."""
    case = Aligned(ATTENTION, MASKED)
    ops = work(case, {"first": "soft", "mid": "mid", "second": "soft2"})
    assert ops == {"first": {"one", "soft"}, "mid": {"mid"}, "second": {"two", "soft2"}}


BIASED = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16] b = {1}> {
    [gemm] h = Gemm (x, w, b)
    [act] y = Tanh (h)
}"""
SPLIT_BIAS = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16] b = {1}> {
    [product] h = MatMul (x, w)
    [biased] y = other.BiasTanh (h, b)
}"""


def test_an_op_of_which_two_nodes_read_weights_is_the_work_of_both() -> None:
    """The second adds the bias; without that weight it does the activation alone."""
    case = Aligned(SPLIT_BIAS, BIASED, weights={"w": ["w"], "b": ["b"]})
    assert work(case, {"product": "gemm", "biased": "act"})["biased"] == {"act", "gemm"}
    case = Aligned(SPLIT_BIAS, BIASED, weights={"w": ["w"]})
    assert work(case, {"product": "gemm", "biased": "act"})["biased"] == {"act"}


PROJECTED = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16,16] v = {2}> {
    [query] q = MatMul (x, w)
    [key] k = MatMul (x, v)
    [joined] j = Add (q, k)
    [soft] y = Tanh (j)
}"""
PACKED = """g (float[8,16] x) => (float[8,16] y) <float[16,32] p = {1}> {
    [packed] j = MatMul (x, p)
    [attention] y = other.Attention (j)
}"""


def test_projections_that_an_unpaired_node_does_are_no_work_of_the_next() -> None:
    """A node with merged weights does what reads the recorded ones."""
    case = Aligned(PACKED, PROJECTED)
    ops = work(case, {"attention": "soft"}, {"packed": ["query", "key"]})
    assert ops == {"attention": {"joined", "soft"}}


def test_where_a_node_reads_something_unknown_the_walk_is_not_trusted() -> None:
    """A step before the node may do a part; the span of the growth stays, here its own op."""
    file = ATTENTION.replace("Abs (b)", "other.Step (b)")
    ops = work(Aligned(file, MASKED), {"first": "soft", "second": "soft2"})
    assert ops == {"first": {"one", "soft"}, "second": {"soft2"}}


def test_a_sum_that_is_hardly_another_value_than_its_term_is_not_what_the_node_reads() -> None:
    """What a node reads is the result of the op that its producer is paired with, if that fits."""
    term = numbers(1)
    recorded = {"x": term, "b": numbers(2), "s": term * (1 + 1e-7), "r": numbers(4)}
    record = RESIDUAL.replace("g (float[8,16] x) =>", "g (float[8,16] i) =>")
    record = record.replace("[branch]", "[term] x = Sin (i) [branch]")
    file = SKIPPED.replace("g (float[8,16] x) =>", "g (float[8,16] i) =>")
    file = file.replace("[branch]", "[term] x = Sin (i) [branch]")
    case = Aligned(file, record, file_values=recorded, record_values=recorded)
    assert work(case, {"term": "term", **SEEDS})["skip"] == {"sum", "square", "norm"}
