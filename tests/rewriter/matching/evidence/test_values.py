"""Nodes and recorded ops that compute the same numbers, and what speaks against a pair."""

import dataclasses
from collections.abc import Mapping

import msgspec
import numpy as np
import pytest

from modelexport.hierarchy.probe_input import ProbeInput
from modelexport.rewriter.graph.indexed_graph import IndexedGraph
from modelexport.rewriter.matching.evidence.comparison_modes import (
    FULL_PRECISION,
    HALF_PRECISION,
    QUANTISED,
)
from modelexport.rewriter.matching.evidence.value_side import ValueSide
from modelexport.rewriter.matching.evidence.values import (
    ValueMatch,
    match_values,
    recorded_fingerprints,
)
from tests.helpers.handmade import parse, record_of
from tests.helpers.values import fingerprint, noise, value_side

CHAIN = """g (float[4, 8] x) => (float[4, 8] c) {
    a = Relu (x)
    b = Tanh (a)
    c = Exp (b)
}"""
X, Y, A, B, C = (noise(4, 8, seed=seed) for seed in range(5))
CHAIN_VALUES = {"x": X, "a": A, "b": B, "c": C}


def chain(**changes: object) -> ValueSide:
    return value_side(CHAIN, {**CHAIN_VALUES, **changes})


def matched(file: ValueSide, record: ValueSide | None = None) -> ValueMatch:
    return match_values(file, record or chain(), FULL_PRECISION)


def value(side: ValueSide, name: str) -> int:
    return side.graph.value_of("", name)


def passed(text: str, arrays: Mapping[str, object]) -> dict[int, str]:
    side = value_side(text, arrays)
    return {node: side.graph.value_names[v][1] for node, v in side.passed_values.items()}


def test_a_node_that_returns_what_it_reads_passes_it_through() -> None:
    """Reshaped, transposed, or added to nothing; not one that computes something else."""
    text = """g (float[4, 8] x, float[4, 8] y) => (float[4, 8] c) {
        a = Transpose (x)
        b = Add (y, a)
        c = Relu (b)
    }"""
    assert passed(text, {"x": X, "y": Y, "a": X.T, "b": X, "c": C}) == {0: "x", 1: "a"}


def test_the_first_input_of_the_same_numbers_is_passed_through() -> None:
    """Two inputs may hold the same numbers; one is enough."""
    text = "g (float[4, 8] x, float[4, 8] y) => (float[4, 8] c) { c = Max (x, y) }"
    assert passed(text, {"x": X, "y": X, "c": X}) == {0: "x"}


def test_a_second_output_may_be_passed_through() -> None:
    """Any output that holds an input's numbers will do."""
    text = "g (float[4, 8] x) => (float[4, 8] b) { a, b = Unknown (x) }"
    assert passed(text, {"x": X, "a": A, "b": X}) == {0: "x"}


def test_equal_codes_of_another_scale_are_not_passed_through() -> None:
    """An operator on codes computes; one that only moves them passes them through."""
    codes = np.arange(32, dtype=np.uint8)
    text = """g (uint8[32] x, float s) => (uint8[32] b) {
        a = com.microsoft.QLinearMul (x, s)
        b = other.Move (a)
    }"""
    assert passed(text, {"x": codes, "a": codes, "b": codes}) == {1: "a"}


def test_a_constant_may_leave_a_value_as_it_is() -> None:
    """A factor of one does. A bias, a computed operand and what clips are not left out."""
    text = """g (float[4, 8] x, float[4, 8] y) => (float[4, 8] d)
        <float one = {1}, float zero = {0}> {
        a = Mul (x, one)
        e = Add (x, zero)
        b = Add (a, y)
        c = Max (b, one)
        d = Mul (c, one)
    }"""
    side = value_side(text, {"x": X, "y": Y, "a": X, "e": X, "b": X, "c": X, "d": C})
    assert set(side.passed_values) == {0, 1, 2, 3}
    assert side.unchanged_values == {0: value(side, "x")}


def test_plain_values_are_not_passed_through() -> None:
    """What holds three different numbers, say, is found anywhere."""
    plain = np.arange(32) % 3
    text = "g (int64[32] x) => (int64[32] a) { a = Abs (x) }"
    assert passed(text, {"x": plain, "a": plain}) == {}


def test_constants_are_not_passed_through() -> None:
    """A node that gives back a constant computes nothing that another one computed."""
    text = """g (float[4, 8] x) => (float[4, 8] a) <float[1] w = {1.0}> {
        a = Where (x, w)
        v = Identity (w)
        b = Max (x, v)
    }"""
    assert passed(text, {"x": X, "w": Y, "a": Y, "v": Y, "b": Y}) == {}


def test_values_without_a_fingerprint_are_not_passed_through() -> None:
    """An unknown input is not an unknown output's."""
    assert passed(CHAIN, {"a": A}) == {}


def test_computing_nodes_are_those_that_do_not_pass_it_through() -> None:
    """Of a value and its transposition the first one's producer; none for an input."""
    text = """g (float[4, 8] x) => (float[8, 4] b) {
        a = Relu (x)
        b = Transpose (a)
        c = Tanh (x)
    }"""
    side = value_side(text, {"x": X, "a": A, "b": A.T, "c": A})
    number = side.classes.class_of
    assert side.computing_nodes(number[value(side, "a")]) == [0, 2]
    assert side.computing_nodes(number[value(side, "x")]) == []


def test_a_node_that_makes_a_class_twice_is_one() -> None:
    """It may have two outputs of the same numbers."""
    side = value_side("g (float[4, 8] x) => (float[4, 8] b) { a, b = U (x) }", {"a": A, "b": A})
    assert side.computing_nodes(0) == [0]


def test_only_unambiguous_values_computed_from_inputs_are_counted() -> None:
    """Neither inputs, nor constants, nor whole numbers, nor what equals an input."""
    text = """g (float[4, 8] x) => (float[4, 8] d) <float[1] w = {1.0}> {
        a = Relu (x)
        b = Identity (x)
        c = ArgMax (x)
        v = Neg (w)
        d = Add (a, v)
    }"""
    known = {"x": X, "a": A, "b": X, "c": np.arange(32), "v": Y, "w": B, "d": C}
    side = value_side(text, known)
    values = [v for n in side.computed_classes() for v in side.classes.members[n]]
    assert sorted(side.graph.value_names[v][1] for v in values) == ["a", "d"]


def test_shares_count_what_either_side_has_of_the_other() -> None:
    """One of three is recorded, of two recorded ones that are computed."""
    two = "g (float[4, 8] x) => (float[4, 8] b) { a = Relu (x) b = Tanh (a) }"
    record = value_side(two, {"x": X, "a": A, "b": Y})
    actual = matched(chain(), record)
    assert (actual.file_share, actual.record_share) == (1 / 3, 1 / 2)


def test_shares_of_nothing_are_nothing() -> None:
    """A file of which nothing is known has none of it recorded."""
    empty = value_side(CHAIN, {})
    actual = matched(empty, empty)
    assert (actual.file_share, actual.record_share, actual.rejects_mismatch) == (0, 0, False)


def test_what_equals_an_input_speaks_for_no_model() -> None:
    """Every model that is fed the same passes it on."""
    actual = matched(chain(a=X, b=Y, c=Y + 1))
    assert (actual.file_share, actual.record_share) == (0, 0)


@pytest.mark.parametrize(("wrong", "expected"), [(1, True), (2, False)])
def test_a_mismatch_rejects_a_pair_where_most_is_recorded(wrong: int, expected: bool) -> None:
    """Two of three are enough in full precision, one is not."""
    others = {name: Y + n for n, name in enumerate("cb"[:wrong])}
    actual = matched(chain(**others))
    assert actual.rejects_mismatch is expected
    assert actual.compatible(0, 0) is True
    assert actual.compatible(2, 2) is (False if expected else None)


def test_the_mode_decides_how_near_values_must_be() -> None:
    """A hundredth off is another value in full precision, and the same in half precision."""
    file = chain(a=A * 1.01, b=B * 1.01, c=C * 1.01)
    assert match_values(file, chain(), FULL_PRECISION).file_share == 0
    actual = match_values(file, chain(), HALF_PRECISION)
    assert (actual.file_share, actual.rejects_mismatch) == (1, True)
    assert actual.mode is HALF_PRECISION


def test_nodes_of_unknown_values_may_be_anything() -> None:
    """None where a value of either side is not known."""
    file = value_side(CHAIN, {"x": X, "a": A, "b": B})
    actual = matched(file, chain())
    assert actual.rejects_mismatch
    assert actual.compatible(2, 2) is None
    assert matched(chain(), file).compatible(2, 2) is None
    assert actual.compatible(1, 2) is False


def test_an_unknown_output_takes_nothing_back() -> None:
    """A known output that is not the recorded one rejects the pair, whatever comes after it."""
    text = "g (float[4, 8] x) => (float[4, 8] b) { a, b = Unknown (x) }"
    record = value_side("g (float[4, 8] x) => (float[4, 8] a) { a = Relu (x) }", {"a": B})
    actual = dataclasses.replace(matched(value_side(text, {"a": A}), record), rejects_mismatch=True)
    assert actual.compatible(0, 0) is False


def test_one_common_output_is_enough() -> None:
    """A node may have outputs that the recorded op has not."""
    text = "g (float[4, 8] x) => (float[4, 8] c) { a = Relu (x) b, c = Unknown (a) }"
    actual = matched(value_side(text, {"x": X, "a": A, "b": Y, "c": C}))
    assert actual.compatible(1, 2) is True
    assert actual.compatible(1, 1) is False


def test_values_agree_when_one_is_a_candidate_of_the_other() -> None:
    """None when one of them is unknown."""
    actual = matched(value_side(CHAIN, {"a": A, "b": B}))
    a, c = value(actual.file, "a"), value(actual.file, "c")
    recorded_a = value(actual.record, "a")
    assert actual.values_agree(a, recorded_a) is True
    assert actual.values_agree(a, value(actual.record, "b")) is False
    assert actual.values_agree(c, value(actual.record, "c")) is None
    assert actual.values_agree(a, 99) is None
    assert actual.candidate_classes(a) == {actual.record.classes.class_of[recorded_a]: 0}
    assert actual.candidate_classes(c) == {}


def test_shapes_are_compared_by_outputs() -> None:
    """A transposed result holds the same numbers in another shape; an unknown one has none."""
    actual = matched(chain(b=B.T))
    assert actual.same_shape(0, 0)
    assert not actual.same_shape(1, 1)
    assert not matched(value_side(CHAIN, {})).same_shape(0, 0)


def ops(actual: ValueMatch, node: int) -> set[int]:
    return set(actual.candidate_ops(node))


def test_the_candidates_of_a_node_compute_what_it_computes() -> None:
    """With the distance, over the magnitude."""
    actual = matched(chain(b=B * (1 + 1e-4)))
    assert actual.candidate_ops(0) == {0: 0}
    assert actual.candidate_ops(1) == {1: pytest.approx(1e-4, rel=1e-2)}


def test_a_node_of_plain_or_unknown_values_has_no_candidates() -> None:
    """What is not distinctive is not looked up."""
    plain = (np.arange(32) % 3).reshape(4, 8)
    actual = matched(chain(b=plain), chain(b=plain))
    assert ops(actual, 1) == set()
    assert ops(matched(value_side(CHAIN, {"a": A})), 1) == set()


def test_an_output_that_is_not_distinctive_leaves_the_others() -> None:
    """The second output of a node is looked up all the same, if the first is unknown or plain."""
    text = "g (float[4, 8] x) => (float[4, 8] b) { a, b = Unknown (x) }"
    plain = (np.arange(32) % 3).reshape(4, 8)
    for arrays in ({"b": A}, {"a": plain, "b": A}):
        assert matched(value_side(text, arrays)).candidate_ops(0) == {0: 0}


def test_a_result_near_its_input_may_be_that_of_another_op() -> None:
    """Only the recorded classes that the input may hold as well are left out."""
    text = "g (float[4, 8] x) => (float[4, 8] a) { a = Unknown (x) }"
    numbers = np.abs(X)
    file = value_side(text, {"x": numbers, "a": numbers * 1.004})
    record = value_side(text, {"x": numbers, "a": numbers * 1.022})
    actual = match_values(file, record, HALF_PRECISION)
    assert set(actual.candidate_classes(value(file, "a"))) == {0, 1}
    assert actual.candidate_ops(0) == {0: pytest.approx(0.018 / 1.022, rel=1e-3)}


def test_the_nearest_of_several_outputs_counts() -> None:
    """A node of two outputs that are near one recorded value keeps the smaller distance."""
    text = "g (float[4, 8] x) => (float[4, 8] b) { a, b = Unknown (x) }"
    for near in ("ab", "ba"):
        arrays = {near[0]: A * (1 + 1e-4), near[1]: A}
        assert matched(value_side(text, arrays)).candidate_ops(0) == {0: 0}


@pytest.mark.parametrize(("change", "expected"), [(4e-3, set()), (6e-3, {1})])
def test_a_node_that_only_rounds_its_input_has_no_candidates(
    change: float, expected: set[int]
) -> None:
    """Half a hundredth apart within the file, while both are near the recorded value."""
    moved = np.sort(A, axis=None)
    moved[6] += change * np.abs(A).max()
    file = chain(b=moved.reshape(4, 8))
    record = chain(a=Y, b=A)
    assert ops(match_values(file, record, HALF_PRECISION), 1) == expected


def test_an_input_that_is_something_else_is_not_passed_on() -> None:
    """A node's input may be near its result by itself: then it has no common candidate."""
    wide = np.linspace(0, 1, 32).astype(np.float32).reshape(4, 8)
    near = wide + np.float32(1e-3)
    actual = matched(chain(a=wide, b=near), chain(b=near))
    assert ops(actual, 1) == {1}


def test_every_node_that_computes_the_value_is_a_candidate() -> None:
    """Two recorded ops may compute the same numbers."""
    text = """g (float[4, 8] x) => (float[4, 8] b) {
        a = Relu (x)
        b = Tanh (x)
    }"""
    actual = matched(chain(), value_side(text, {"x": X, "a": A, "b": A}))
    assert ops(actual, 0) == {0, 1}


def test_a_constant_is_no_candidate_for_what_is_computed() -> None:
    """And a computed value none for a constant, though both hold the same numbers."""
    text = """g (float[4, 8] x) => (float[4, 8] b) <float[1] w = {1.0}> {
        a = Neg (w)
        b = Add (x, a)
    }"""
    constant = value_side(text, {"x": X, "a": A, "b": Y})
    assert ops(matched(chain(), constant), 0) == set()
    assert ops(matched(constant, chain()), 0) == set()
    assert ops(matched(constant, constant), 0) == {0}


def test_a_node_with_subgraphs_is_no_candidate_for_one_without() -> None:
    """An If returns what its branch computes: the node of the branch does the work."""
    text = """g (float[4, 8] x, bool c) => (float[4, 8] a) {
        a = If (c) <
            then_branch = t () => (float[4, 8] p) { p = Relu (x) },
            else_branch = e () => (float[4, 8] q) { q = Neg (x) }
        >
    }"""
    branching = value_side(text, {"x": X, "a": A})
    assert ops(matched(chain(), branching), 0) == set()
    assert ops(matched(branching, chain()), 0) == set()
    assert ops(matched(branching, branching), 0) == {0}


def test_a_node_is_unambiguous_by_any_of_its_outputs() -> None:
    """One output with enough different numbers is enough."""
    text = "g (float[4, 8] x) => (float[4, 8] b) { a, b = Unknown (x) c = Neg (x) }"
    actual = matched(value_side(text, {"a": np.zeros(32), "b": B, "c": np.arange(32)}))
    assert actual.is_unambiguous(0)
    assert not actual.is_unambiguous(1)
    assert not matched(value_side(text, {})).is_unambiguous(0)


def test_as_quantised_compares_sketches_and_rejects_nothing() -> None:
    """The match that it was made of stays as it was."""
    actual = matched(chain())
    quantised = actual.as_quantised()
    assert (actual.quantised, actual.rejects_mismatch) == (None, True)
    assert (quantised.mode, quantised.rejects_mismatch) == (QUANTISED, False)
    assert quantised.quantised is not None
    assert quantised.quantised.candidate_ops(1) == {1: 0}
    assert quantised.compatible(1, 1) is True


def test_in_a_quantised_file_sketches_tell_where_order_statistics_do_not() -> None:
    """A value that is noisy all over is near its recorded one."""
    noisy = B + 0.1 * noise(4, 8, seed=7)
    actual = matched(chain(b=noisy)).as_quantised()
    assert actual.compatible(1, 1) is True
    assert actual.compatible(1, 2) is None


def test_calibrating_trusts_quantised_values_as_far_as_pairs_show() -> None:
    """Without quantised values nothing changes; without near pairs they are not used."""
    actual = matched(chain())
    assert actual.calibrated({0: 0}) is actual
    trusted = actual.as_quantised().calibrated({0: 0, 1: 1})
    assert trusted.quantised is not None
    assert trusted.quantised.rejects_mismatch
    assert trusted.compatible(1, 2) is False
    untrusted = actual.as_quantised().calibrated({0: 1, 1: 2})
    assert untrusted.quantised is None
    assert untrusted.compatible(1, 1) is True
    assert untrusted.compatible(1, 2) is None


def test_recorded_fingerprints_are_those_of_ops_and_probe_inputs() -> None:
    """By the numbers of the recorded graph; omitted outputs and unknown values have none."""
    model = parse("g (float[4] x) => (float[4] b) { a, b = Split (x) c = Exp (b) }")
    model.graph.node[0].output[0] = ""
    record = record_of(model, {"": "Net"}, ["", ""])
    known = fingerprint(np.arange(4.0))
    first = msgspec.structs.replace(record.ops[0], values=(known, known))
    second = msgspec.structs.replace(record.ops[1], values=(None,))
    record = msgspec.structs.replace(record, ops=(first, second))
    graph = IndexedGraph.from_record(record)
    actual = recorded_fingerprints(record, graph)
    names = {graph.value_names[v][1]: entry for v, entry in actual.items()}
    assert names == {"x": fingerprint(np.ones(4, np.float32)), "b": known}


def test_probe_inputs_that_no_op_reads_or_that_hold_strings_have_no_fingerprint() -> None:
    """A string has no order statistics, and an unread input no number."""
    model = parse("g (string[2] x) => (string[2] a) { a = Identity (x) }")
    record = record_of(model, {"": "Net"}, [""])
    words = ProbeInput.from_array("x", np.array(["a", "b"], object))
    unread = ProbeInput.from_array("unread", np.ones(3, np.float32))
    probe = msgspec.structs.replace(record.probe, inputs=(words, unread))
    record = msgspec.structs.replace(record, probe=probe)
    assert recorded_fingerprints(record, IndexedGraph.from_record(record)) == {}


LENGTHS = """g (float[4, 8] x) => (float[4, 8] c) {
    s = Shape (x)
    a = Expand (one, s)
    b = Cos (a)
    c = Add (x, b)
}""".replace("s = Shape", "one = Constant <value_float = 1.0> () s = Shape")


def test_what_depends_on_shapes_differs_with_the_inputs() -> None:
    """Positions begin behind a cache in one of both; with the same inputs they must agree."""
    record = value_side(LENGTHS, {"x": X, "b": B, "c": C})
    file = value_side(LENGTHS, {"x": X, "b": A, "c": C})
    node = 3
    match = dataclasses.replace(matched(file, record), rejects_mismatch=True)
    assert match.compatible(node, node) is False
    longer = LENGTHS.replace("x) =>", "x, float[4, 8] y) =>").replace(
        "(x, b)", "(x, b) d = Neg (y)"
    )
    cached = value_side(longer, {"x": X, "y": Y, "b": B, "c": C})
    for pair in ((file, cached), (cached, file)):
        match = dataclasses.replace(matched(*pair), rejects_mismatch=True)
        assert match.compatible(node, node) is None
        assert match.compatible(node + 1, node) is False  # it reads an input


def test_a_value_is_computed_where_a_recorded_op_returns_it() -> None:
    """Not where it was given as an input; unknown where it tells nothing."""
    file = value_side(CHAIN, {"x": Y, "a": X, "b": B, "c": np.ones((4, 8), np.float32)})
    match = matched(file)
    assert [match.is_computed(node) for node in range(3)] == [False, True, None]
    assert match.is_recorded(0) is True


def test_as_related_rejects_what_differs_until_a_node_has_diverged() -> None:
    """There it computes something new, and so does what reads it."""
    actual = matched(chain(b=Y, c=noise(4, 8, seed=9)))
    assert (actual.rejects_mismatch, actual.may_diverge, actual.diverged) == (False, False, set())
    related = actual.as_related()
    assert (related.rejects_mismatch, related.may_diverge) == (True, True)
    assert related.diverged == {1, 2}
    assert related.compatible(1, 1) is False
    assert related.compatible(2, 2) is None


def test_whether_a_value_is_recorded_is_not_known_of_one_of_equal_numbers() -> None:
    """Nor of one that was not computed."""
    actual = matched(chain(a=np.zeros((4, 8), np.float32), c=Y))
    assert [actual.is_recorded(node) for node in range(3)] == [None, True, False]
