"""What a fused node does: the ops between what it reads and what it returns."""

import pytest

from modelexport.rewriter.matching.alignment.spans import Span, SpanFinder, find_span
from tests.helpers.aligned import Aligned, chain, numbers

RECORD = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16] b = {1}> {
    [before] h = Neg (x)
    [multiply] m = MatMul (h, w)
    [shape] s = Shape (h)
    [reshape] r = Reshape (m, s)
    [add] a = Add (r, b)
    [relu] y = Relu (a)
}"""
FUSED = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16] b = {1}> {
    [before] h = Neg (x)
    [fused] y = other.FusedGemm (h, w, b)
}"""


def fused(**options: object) -> Aligned:
    return Aligned(FUSED, RECORD, **options)  # type: ignore[arg-type]


def span_names(case: Aligned, span: Span) -> tuple[list[str], list[str]]:
    return [case.op_name(op) for op in span.ops], sorted(case.op_name(op) for op in span.before)


def test_the_walk_back_ends_at_the_ops_of_paired_predecessors() -> None:
    """Weights, shapes and what passes values through are no part of it; the last op comes first."""
    case = fused()
    span = find_span(case.graphs, case.node("fused"), case.op("relu"), {case.op("before")})
    assert span.closed
    assert span_names(case, span) == (["relu", "add", "multiply"], ["before"])


def test_the_walk_back_ends_at_values_that_the_node_reads() -> None:
    """What the predecessor computes tells as much as which op it is."""
    case = fused(file_values={"h": numbers(1)}, record_values={"h": numbers(1)})
    span = find_span(case.graphs, case.node("fused"), case.op("relu"), set())
    assert span.closed
    assert span_names(case, span) == (["relu", "add", "multiply"], ["before"])


def test_an_input_of_the_model_ends_the_walk_when_the_node_reads_it() -> None:
    """By its values; no op stands before such a span."""
    text = "g (float[8,16] x) => (float[8,16] y) { [one] h = Neg (x) [two] y = Abs (h) }"
    file = "g (float[8,16] x) => (float[8,16] y) { [fused] y = other.NegAbs (x) }"
    case = Aligned(file, text, file_values={"x": numbers(1)}, record_values={"x": numbers(1)})
    span = find_span(case.graphs, case.node("fused"), case.op("two"), set())
    assert span == Span((case.op("two"), case.op("one")), frozenset(), closed=True)


def test_a_walk_that_reaches_an_input_of_the_model_is_not_closed() -> None:
    """Then the node is known to do the last op, and no more."""
    case = fused()
    span = find_span(case.graphs, case.node("fused"), case.op("relu"), set())
    assert span == Span((case.op("relu"),), frozenset(), closed=False)


@pytest.mark.parametrize(("length", "closed"), [(64, True), (65, False)])
def test_a_node_does_no_more_than_64_ops(length: int, closed: bool) -> None:
    """Holds MOST_SPAN_OPS."""
    ops = chain(length, first="h")
    record = f"g (float[8,16] x) => (float[8,16] y) {{ [first] h = Abs (x)\n{ops} }}"
    file = "g (float[8,16] x) => (float[8,16] y) { [first] h = Abs (x) [all] y = other.Many (h) }"
    case = Aligned(file, record)
    span = find_span(case.graphs, case.node("all"), case.op(f"n{length - 1}"), {case.op("first")})
    assert span.closed is closed
    assert len(span.ops) == (length if closed else 1)


def test_a_span_is_looked_for_again_while_nothing_is_known() -> None:
    """What was found before any predecessor was paired says nothing."""
    case = fused()
    ops: dict[int, int] = {}
    finder = SpanFinder(case.graphs, ops, {})
    node, op = case.node("fused"), case.op("relu")
    assert not finder.span(node, op).closed
    ops[case.node("before")] = case.op("before")
    actual = finder.span(node, op)
    assert actual.closed
    del ops[case.node("before")]
    assert finder.span(node, op) == actual


def test_a_span_that_is_known_is_not_looked_for() -> None:
    """A chain of ops that reads the node's weights is known from the start."""
    case = fused()
    node, op = case.node("fused"), case.op("relu")
    known = Span((op, case.op("add")), frozenset(), closed=True)
    assert SpanFinder(case.graphs, {}, {(node, op): known}).span(node, op) == known


def test_every_input_of_an_op_is_followed_and_each_op_is_in_a_span_once() -> None:
    """Also behind a weight, and where several ways lead to one op."""
    record = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}> {
        [before] h = Neg (x) [one] a = Mul (w, h) [two] b = Exp (a) [three] c = Ceil (a)
        [last] y = Sum (w, b, c)
    }"""
    case = Aligned(FUSED, record)
    span = find_span(case.graphs, case.node("fused"), case.op("last"), {case.op("before")})
    assert span.closed
    assert span_names(case, span) == (["last", "two", "three", "one"], ["before"])


@pytest.mark.parametrize("known", ["h", "t"])
def test_values_are_seen_through_what_passes_them_on(known: str) -> None:
    """Either what the node reads is known, or that of which it is made."""
    file = FUSED.replace("[fused]", "[turn] t = Transpose (h)\n[fused]").replace("(h, w", "(t, w")
    values = numbers(1)
    case = Aligned(file, RECORD, file_values={known: values}, record_values={"h": values})
    span = find_span(case.graphs, case.node("fused"), case.op("relu"), set())
    assert span.closed
    assert span_names(case, span) == (["relu", "add", "multiply"], ["before"])


def test_values_that_nothing_is_known_of_end_no_walk() -> None:
    """Neither those of the file nor those of the record."""
    case = fused(file_values={"h": numbers(1)}, record_values={"x": numbers(2)})
    span = find_span(case.graphs, case.node("fused"), case.op("relu"), set())
    assert span == Span((case.op("relu"),), frozenset(), closed=False)


def test_a_span_may_be_closed_by_an_op_that_the_node_before_it_may_do() -> None:
    """Besides the paired ones; a span that is closed already stays as it is."""
    record = """g (float[8,16] x) => (float[8,16] y) {
        [left] p = Neg (x) [right] q = Sin (x) [sum] s = Add (p, q) [last] y = Exp (s)
    }"""
    file = """g (float[8,16] x) => (float[8,16] y) {
        [left] p = Neg (x) [right] q = Sin (x) [fused] y = other.AddExp (p, q)
    }"""
    case = Aligned(file, record)
    ops = {case.node("left"): case.op("left")}
    finder = SpanFinder(case.graphs, ops, {})
    node, last = case.node("fused"), case.op("last")
    assert not finder.span(node, last).closed
    assert not finder.span_behind(node, last, case.op("left")).closed
    span = finder.span_behind(node, last, case.op("right"))
    assert span.closed
    assert span_names(case, span) == (["last", "sum"], ["left", "right"])
    ops[case.node("right")] = case.op("right")
    closed = SpanFinder(case.graphs, ops, {})
    assert closed.span_behind(node, last, case.op("sum")) == closed.span(node, last)
    values = {"p": numbers(1)}
    graphs = Aligned(file, record, file_values=values, record_values=values).graphs
    assert SpanFinder(graphs, {}, {}).span_behind(node, last, case.op("right")) == span


def test_the_span_of_a_pair_is_that_of_its_node() -> None:
    """The values that the node reads close it."""
    case = fused(file_values={"h": numbers(1)}, record_values={"h": numbers(1)})
    span = SpanFinder(case.graphs, {}, {}).span(case.node("fused"), case.op("relu"))
    assert span_names(case, span) == (["relu", "add", "multiply"], ["before"])
