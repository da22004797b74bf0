"""The way back from what a node returns to what it reads: where it ends, and when it is trusted."""

import numpy as np
import pytest

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.rewriter.matching.alignment.node_work import NodeWork
from modelexport.rewriter.matching.alignment.spans import Span, SpanFinder
from modelexport.rewriter.matching.thresholds import MOST_SPAN_OPS
from tests.helpers.aligned import Aligned, chain, numbers
from tests.helpers.node_work import begun, work

DIAMOND = """g (float[8,16] x) => (float[8,16] y) <float[16] n = {1}> {
    [first] p = Neg (x)
    [term] l = Sin (x)
    [left] q = other.MulAdd (n, p, l)
    [step] r = Abs (x)
    [right] s = Add (p, r)
    [last] y = Add (q, s)
}"""


def test_a_node_does_all_ops_on_all_ways_back_to_what_it_reads() -> None:
    """Weights end no way, and an op that two ways reach counts once."""
    file = "g (float[8,16] x) => (float[8,16] y) { [fused] y = other.Fused (x) }"
    expected = {"fused": {"first", "term", "left", "step", "right", "last"}}
    assert work(Aligned(file, DIAMOND), {"fused": "last"}) == expected


@pytest.mark.parametrize("inputs", ["p, m", "m, p"])
def test_a_node_that_does_not_read_what_its_ops_need_keeps_what_the_growth_saw(inputs: str) -> None:
    """One way back leads to an input of the model that the node does not read."""
    record = f"""g (float[8,16] x, float[8,16] m) => (float[8,16] y) {{
        [first] p = Neg (x)
        [last] y = Add ({inputs})
    }}"""
    file = "g (float[8,16] x, float[8,16] m) => (float[8,16] y) { [fused] y = other.Fused (x) }"
    assert work(Aligned(file, record), {"fused": "last"}) == {"fused": {"last"}}


@pytest.mark.parametrize(
    ("length", "expected"), [(MOST_SPAN_OPS, MOST_SPAN_OPS), (MOST_SPAN_OPS + 1, 1)]
)
def test_a_node_does_no_more_ops_than_a_span_may_have(length: int, expected: int) -> None:
    """A longer way back is not trusted."""
    file = "g (float[8,16] x) => (float[8,16] y) { [fused] y = other.Fused (x) }"
    record = f"g (float[8,16] x) => (float[8,16] y) {{ {chain(length)} }}"
    case = Aligned(file, record)
    assert len(work(case, {"fused": f"n{length - 1}"})["fused"]) == expected


APART = """g (float[8,16] x) => (float[8,16] y, float[8,16] z) {
    [first] p = Neg (x)
    [second] q = Abs (p)
    [side] r = Sin (x)
    [out] z = Cos (r)
    [last] y = Add (q, r)
}"""
FUSED_APART = """g (float[8,16] x) => (float[8,16] y, float[8,16] z) {
    [unknown] p = other.First (x)
    [side] r = Sin (x)
    [out] z = Cos (r)
    [fused] y = other.Fused (p)
}"""
APART_SEEDS = {"side": "side", "out": "out", "fused": "last"}


def apart(*, exact: bool, file: str = FUSED_APART) -> Aligned:
    """A fused node that reads a recorded value from a node that is paired with no op."""
    arrays = {name: numbers(n) for n, name in enumerate("xpyz")}
    return Aligned(*(file, APART), file_values=arrays, record_values=arrays, rejects_mismatch=exact)


def test_a_way_back_ends_at_a_recorded_value_that_the_node_reads() -> None:
    """Whichever node computes it."""
    assert work(apart(exact=True), APART_SEEDS)["fused"] == {"second", "last"}


@pytest.mark.parametrize("real", [True, False])
def test_a_way_back_is_not_trusted_beside_an_input_that_was_not_recorded(real: bool) -> None:
    """It may replace a part of the ops; whole numbers and flags do not."""
    file = FUSED_APART.replace("float[8,16] x)", "float[8,16] x, float[8,16] e)", 1)
    file = file.replace("other.Fused (p)", "other.Fused (p, e)")
    recorded = {name: numbers(n) for n, name in enumerate("xpyz")}
    extra = numbers(9) if real else np.arange(128).reshape(8, 16)
    case = Aligned(file, APART, file_values={**recorded, "e": extra}, record_values=recorded)
    expected = {"last"} if real else {"second", "last"}
    assert work(case, APART_SEEDS)["fused"] == expected


@pytest.mark.parametrize("exact", [True, False])
def test_a_node_does_all_of_its_op_where_values_are_exact(exact: bool) -> None:
    """The way back shows it, whatever the growth saw; without exact values that decides."""
    file = FUSED_APART.replace("[unknown] p = other.First (x)", "[first] p = Neg (x)")
    case = apart(exact=exact, file=file)
    seeds = {**APART_SEEDS, "first": "first"}
    assert work(case, seeds)["fused"] == {"second", "last"}
    assert begun(case, seeds).find()[case.node("fused")].closed is exact


def test_a_node_that_shares_its_op_does_not_do_all_of_it() -> None:
    """Two nodes are steps of one op: the span of the growth tells how much that is."""
    file = FUSED_APART.replace("other.Fused (p)", "other.Fused (h) [half] h = other.Half (p)")
    case = apart(exact=True, file=file)
    spans = begun(case, {**APART_SEEDS, "half": "last"}).find()
    assert not spans[case.node("half")].closed


def test_the_ops_of_weights_are_the_work_of_the_node_that_reads_these() -> None:
    """The result of the first of them is needed elsewhere; it was found by its weight."""
    record = """g (float[8,16] x) => (float[8,16] y, float[8,16] z)
        <float[16,16] w = {1}, float[16,16] v = {2}> {
        [one] p = MatMul (x, w)
        [two] y = MatMul (p, v)
        [other] z = Abs (p)
    }"""
    file = """g (float[8,16] x) => (float[8,16] y, float[8,16] z)
        <float[16,16] w = {1}, float[16,16] v = {2}> {
        [both] y = other.Both (x, w, v)
        [other] z = other.Abs (x)
    }"""
    case = Aligned(file, record)
    pairs = case.pairs({"other": "other"})
    span = Span((case.op("two"), case.op("one")), frozenset(), closed=True)
    pairs.add_span(case.node("both"), span, EvidenceKind.WEIGHTS)
    finder = SpanFinder(case.graphs, pairs.ops, pairs.spans)
    spans = NodeWork(case.graphs, pairs.ops, finder.span, pairs.spans, {}).find()
    ops = [case.op_name(op) for op in spans[case.node("both")].ops]
    assert sorted(ops) == ["one", "two"]


def test_an_op_that_two_nodes_do_counts_once() -> None:
    """Two ops of the second node read its result."""
    weights = "<float[16,16] w = {1}, float[16] b = {1}>"
    record = f"""g (float[8,16] x) => (float[8,16] y) {weights} {{
        [gemm] h = Gemm (x, w, b) [act] t = Tanh (h) [gate] y = Mul (t, h)
    }}"""
    file = f"""g (float[8,16] x) => (float[8,16] y) {weights} {{
        [product] h = MatMul (x, w) [gated] y = other.BiasGate (h, b)
    }}"""
    case = Aligned(file, record, weights={"w": ["w"], "b": ["b"]})
    expected = {"gemm", "act", "gate"}
    assert work(case, {"product": "gemm", "gated": "gate"})["gated"] == expected
