"""What each neighbour, weight, input and near value counts in the score of a pair."""

import pytest

from modelexport.rewriter.matching.alignment.scorer import PairScorer
from modelexport.rewriter.matching.alignment.spans import SpanFinder
from tests.helpers.aligned import Aligned, chain, numbers

PLAIN = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16,16] v = {2}> {
    [before] a = Neg (x)
    [node] b = MatMul (a, w)
    [after] c = Abs (b)
    [other] d = MatMul (c, v)
    [last] y = Exp (d)
}"""


def score(
    case: Aligned,
    node: str,
    op: str,
    seeds: dict[str, str],
    nearby: dict[int, dict[int, float]] | None = None,
) -> float:
    pairs = case.pairs(seeds)
    spans = SpanFinder(case.graphs, pairs.ops, pairs.spans)
    scorer = PairScorer(case.graphs, pairs, spans, nearby or {})
    return scorer.score(case.node(node), case.op(op))


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        ({}, 0.0),
        ({"before": "before"}, 1.0),
        ({"after": "after"}, 1.0),
        ({"before": "before", "after": "after"}, 2.0),
    ],
)
def test_each_neighbour_whose_op_is_a_neighbour_counts_one(
    seeds: dict[str, str], expected: float
) -> None:
    """Predecessors and successors alike; neighbours that are not paired count nothing."""
    assert score(Aligned(PLAIN, PLAIN), "node", "node", seeds) == expected


def test_an_input_of_the_model_counts_one() -> None:
    """The op reads the recorded input."""
    case = Aligned(PLAIN, PLAIN)
    assert score(case, "before", "before", {}) == 1.0
    assert score(case, "before", "after", {}) == 0.0


def test_a_weight_in_common_counts_two_and_another_one_minus_two() -> None:
    """Holds COMMON_WEIGHT_SCORE."""
    case = Aligned(PLAIN, PLAIN, weights={"w": ["w"], "v": ["v"]})
    assert score(case, "node", "node", {}) == 2.0
    assert score(case, "node", "other", {}) == -2.0


def test_a_node_without_weights_is_no_op_that_reads_one_which_the_file_has() -> None:
    """Where the file does not have the weight, it may have been folded into others."""
    assert score(Aligned(PLAIN, PLAIN, weights={"w": ["w"]}), "after", "node", {}) == -2.0
    assert score(Aligned(PLAIN, PLAIN, weights={"v": ["v"]}), "after", "node", {}) == 0.0
    assert score(Aligned(PLAIN, PLAIN, weights={"w": ["w"]}), "node", "after", {}) == 0.0


def test_a_neighbour_elsewhere_in_the_record_counts_minus_one() -> None:
    """Holds SPAN_MISMATCH_SCORE: the span of the pair is closed, and begins after another op."""
    case = Aligned(PLAIN, PLAIN, file_values={"a": numbers(1)}, record_values={"a": numbers(1)})
    assert score(case, "node", "node", {"before": "after"}) == -1.0


def test_a_neighbour_before_an_open_span_counts_minus_a_half() -> None:
    """Holds OPEN_SPAN_SCORE: more ops may belong to the span."""
    assert score(Aligned(PLAIN, PLAIN), "node", "node", {"before": "after"}) == -0.5


def spanned(length: int) -> Aligned:
    """A file with one node for a chain of recorded ops."""
    head = "[first] h = Abs (x)"
    record = f"g (float[8,16] x) => (float[8,16] y) {{ {head}\n{chain(length, first='h')} }}"
    file = f"g (float[8,16] x) => (float[8,16] y) {{ {head} [all] y = other.Many (h) }}"
    return Aligned(file, record, file_values={"h": numbers(1)}, record_values={"h": numbers(1)})


@pytest.mark.parametrize(
    ("length", "expected"), [(1, 1.0), (2, 0.95), (5, 0.8), (11, 0.5), (12, 0.5), (30, 0.5)]
)
def test_a_neighbour_before_a_longer_span_counts_less(length: int, expected: float) -> None:
    """Holds SPAN_OP_DISCOUNT and MINIMUM_SPAN_SCORE; seen from both ends of the edge."""
    case, last = spanned(length), f"n{length - 1}"
    assert score(case, "all", last, {"first": "first"}) == pytest.approx(expected)
    from_successor = score(case, "first", "first", {"all": last}) - 1  # it reads the input
    assert from_successor == pytest.approx(expected)


@pytest.mark.parametrize(("length", "expected"), [(2, 0.95), (5, 0.8)])
def test_a_pair_may_close_the_span_of_a_fused_successor(length: int, expected: float) -> None:
    """Without values, the span is open only because the node before it is not paired yet."""
    file, record = (
        f"g (float[8,16] x) => (float[8,16] y) {{ [first] h = Abs (x)\n{rest} }}"
        for rest in ("[all] y = other.Many (h)", chain(length, first="h"))
    )
    case = Aligned(file, record)
    from_successor = score(case, "first", "first", {"all": f"n{length - 1}"}) - 1  # the input
    assert from_successor == pytest.approx(expected)


def test_an_op_right_before_that_of_a_successor_counts_one_whatever_else_that_reads() -> None:
    """The span of the successor is open: the record computes its other term, the file does not."""
    record = """g (float[8,16] x) => (float[8,16] y) {
        [before] a = Neg (x) [term] b = Sin (x) [sum] y = Add (a, b)
    }"""
    file = """g (float[8,16] x, float[8,16] z) => (float[8,16] y) {
        [before] a = Neg (x) [sum] y = Add (a, z)
    }"""
    case = Aligned(file, record)
    assert score(case, "before", "before", {"sum": "sum"}) - 1 == 1.0  # it reads the input, too


def test_a_successor_that_is_paired_with_the_op_itself_counts_nothing() -> None:
    """Several nodes may do one op together."""
    assert score(Aligned(PLAIN, PLAIN), "node", "node", {"after": "node"}) == 0.0


def test_a_predecessor_that_is_paired_with_the_op_counts_when_results_are_near() -> None:
    """In a quantised file an op is done in steps; without a near result it speaks against."""
    case = Aligned(PLAIN, PLAIN)
    near = case.by_op("after", {"node": 0.1})
    assert score(case, "after", "node", {"node": "node"}, near) == 1.5
    assert score(case, "after", "node", {"node": "node"}) == -0.5


def test_a_near_result_counts_a_half_beside_other_votes() -> None:
    """Holds NEAR_VALUE_SCORE: alone it counts nothing."""
    case = Aligned(PLAIN, PLAIN)
    near = case.by_op("node", {"node": 0.1})
    assert score(case, "node", "node", {"before": "before"}, near) == 1.5
    assert score(case, "node", "node", {}, near) == 0.0
    assert score(case, "node", "node", {"before": "after"}, near) == -0.5


RESULT = numbers(3)


def completing_case(distance: float | None) -> Aligned:
    """A quantised product in two steps.

    The first one's result is this far from the recorded one, or is not known.
    """
    file = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}> {
        [multiply] a = other.Product (x, w) [rescale] y = other.Rescale (a)
    }"""
    record = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}> {
        [product] y = MatMul (x, w)
    }"""
    step = {} if distance is None else {"a": (1 - distance) * RESULT}
    return Aligned(
        file,
        record,
        weights={"w": ["w"]},
        file_values={**step, "y": RESULT},
        record_values={"y": RESULT},
        quantised=True,
    )


def completing(before: float, distance: float = 0.1) -> tuple[PairScorer, int, int]:
    """A scorer, with the second step and its op.

    Args:
        before: Distance of the first step's result from the recorded one.
        distance: That of the second step's result.
    """
    case = completing_case(before)
    pairs = case.pairs({"multiply": "product"})
    spans = SpanFinder(case.graphs, pairs.ops, pairs.spans)
    near = case.by_op("rescale", {"product": distance})
    scorer = PairScorer(case.graphs, pairs, spans, near)
    return scorer, case.node("rescale"), case.op("product")


@pytest.mark.parametrize(("distance", "completes"), [(0.19, False), (0.21, True)])
def test_a_step_completes_an_op_when_it_is_twice_as_near(distance: float, completes: bool) -> None:
    """Holds COMPLETION_FACTOR. What completes an op need not read its weights."""
    scorer, node, op = completing(distance)
    assert scorer.completes(node, op) is completes
    assert scorer.score(node, op) == (1.5 if completes else -1.0)


def test_nothing_completes_an_op_without_values_of_a_quantised_file() -> None:
    """Nor where the results are not near."""
    case = Aligned(PLAIN, PLAIN)
    pairs = case.pairs({"node": "node"})
    near = case.by_op("after", {"node": 0.1})
    spans = SpanFinder(case.graphs, pairs.ops, pairs.spans)
    for nearby in ({}, near):
        scorer = PairScorer(case.graphs, pairs, spans, nearby)
        assert not scorer.completes(case.node("after"), case.op("node"))


def test_a_step_that_is_exactly_twice_as_near_does_not_complete() -> None:
    """Holds COMPLETION_FACTOR: the step before it must be farther than that."""
    case = completing_case(0.5)
    assert case.values is not None
    assert case.values.quantised is not None
    before = case.values.quantised.distance(case.node("multiply"), case.op("product"))
    assert before is not None
    for distance, completes in ((before / 2, False), (before / 2.001, True)):
        scorer, node, op = completing(0.5, distance)
        assert scorer.completes(node, op) is completes


def test_a_step_whose_value_does_not_compare_is_completed() -> None:
    """Whole numbers, for example, are less near than any other result."""
    case = completing_case(None)
    pairs = case.pairs({"multiply": "product"})
    spans = SpanFinder(case.graphs, pairs.ops, pairs.spans)
    scorer = PairScorer(case.graphs, pairs, spans, case.by_op("rescale", {"product": 0.1}))
    assert scorer.completes(case.node("rescale"), case.op("product"))


def test_a_step_of_another_op_is_not_completed() -> None:
    """Only what was paired with the op itself is a step of it."""
    case = completing_case(0.9)
    pairs = case.pairs({})
    spans = SpanFinder(case.graphs, pairs.ops, pairs.spans)
    scorer = PairScorer(case.graphs, pairs, spans, case.by_op("rescale", {"product": 0.1}))
    assert not scorer.completes(case.node("rescale"), case.op("product"))


def test_every_paired_neighbour_counts() -> None:
    """Also behind neighbours that are open, or that are paired with the op itself."""
    text = """g (float[8,16] x) => (float[8,16] y) {
        [one] a = Neg (x) [two] b = Exp (x) [node] c = Add (a, b)
        [three] d = Abs (c) [four] e = Ceil (c) [last] y = Mul (d, e)
    }"""
    case = Aligned(text, text)
    assert score(case, "node", "node", {"two": "two"}) == 1.0
    assert score(case, "node", "node", {"four": "four"}) == 1.0
    assert score(case, "node", "node", {"three": "node", "four": "four"}) == 1.0


CLIPPED = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float top = {6}> {
    [before] a = Neg (x)
    [product] b = MatMul (a, w)
    [clip] c = Min (b, top)
    [last] y = Abs (c)
}"""
FUSED = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}> {
    [before] a = Neg (x)
    [fused] c = other.Product (a, w)
    [last] y = Abs (c)
}"""


@pytest.mark.parametrize(("value", "expected"), [(3, 2.0), (4, -2.0)])
def test_the_weights_of_all_ops_count_that_an_equal_value_takes(
    value: int, expected: float
) -> None:
    """The last op of a fused node may read constants that the node has as attributes."""
    case = Aligned(
        FUSED,
        CLIPPED,
        weights={"w": ["w"]},
        file_values={"a": numbers(1), "c": numbers(value)},
        record_values={"a": numbers(1), "b": numbers(2), "c": numbers(3)},
    )
    assert score(case, "fused", "clip", {}) == expected


def test_an_equal_value_takes_no_weights_of_other_ops_where_values_are_not_exact() -> None:
    """In a quantised file it may be that of another op."""
    values = {"a": numbers(1), "c": numbers(3)}
    case = Aligned(
        *(FUSED, CLIPPED),
        weights={"w": ["w"]},
        file_values=values,
        record_values=values,
        rejects_mismatch=False,
    )
    assert score(case, "fused", "clip", {}) == -2.0
