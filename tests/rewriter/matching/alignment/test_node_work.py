"""What each node does once all pairs are known: no op missing, and none too many."""

from collections.abc import Iterable, Mapping

from modelexport.rewriter.matching.alignment.node_work import NodeWork
from modelexport.rewriter.matching.alignment.spans import SpanFinder
from tests.helpers.aligned import Aligned, numbers

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


def work(
    case: Aligned, seeds: Mapping[str, str], anchored: Mapping[str, Iterable[str]] | None = None
) -> dict[str, set[str]]:
    """The ops of each node by name."""
    pairs = case.pairs(seeds)
    spans = SpanFinder(case.graphs, pairs.ops, pairs.spans)
    begun = {
        case.node(node): tuple(case.op(op) for op in ops) for node, ops in (anchored or {}).items()
    }
    found = NodeWork(case.graphs, pairs.ops, spans.span, pairs.spans, begun).find()
    return {
        case.node_name(node): {case.op_name(op) for op in span.ops} for node, span in found.items()
    }


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
    found = work(case, {"first": "soft", "mid": "mid", "second": "soft2"})
    assert found == {"first": {"one", "soft"}, "mid": {"mid"}, "second": {"two", "soft2"}}


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
    found = work(case, {"attention": "soft"}, {"packed": ["query", "key"]})
    assert found == {"attention": {"joined", "soft"}}


def test_where_a_node_reads_something_unknown_the_walk_is_not_trusted() -> None:
    """A step before the node may do a part; the span of the growth stays, here its own op."""
    file = ATTENTION.replace("Abs (b)", "other.Step (b)")
    found = work(Aligned(file, MASKED), {"first": "soft", "second": "soft2"})
    assert found == {"first": {"one", "soft"}, "second": {"soft2"}}
