"""What is known about two graphs that are aligned."""

import pytest

from modelexport.rewriter.matching.alignment.graph_pair import match_inputs
from tests.helpers.aligned import Aligned, numbers

FILE = """g (float[8,16] a, float[8,16] b, float[8,16] c) => (float[8,16] y)
<float[16,16] w = {1}> {
    [sum] s = Sum (a, b, c)
    [cast] t = Cast <to = 1> (s)
    [constant] k = Neg (w)
    [work] y = MatMul (t, w)
}"""
RECORD = FILE.replace("float[8,16] c)", "float[8,16] d)").replace("b, c)", "b, d)")
A, B, C = numbers(1), numbers(2), numbers(3)


def test_nodes_that_pass_values_through_or_read_no_input_are_auxiliary() -> None:
    """They are aligned last."""
    case = Aligned(FILE, RECORD)
    auxiliary = {n for n in range(len(case.file)) if case.graphs.is_auxiliary(n)}
    assert {case.node_name(node) for node in auxiliary} == {"cast", "constant"}


def test_operators_and_values_are_compared() -> None:
    """Without values it is not known whether they agree."""
    case = Aligned(FILE, RECORD, file_values={"y": A}, record_values={"y": A, "s": B})
    assert case.graphs.same_op_type(0, 0)
    assert not case.graphs.same_op_type(0, 1)
    assert case.graphs.compatible(3, 3) is True
    assert case.graphs.compatible(3, 0) is False
    assert case.graphs.compatible(1, 1) is None
    assert Aligned(FILE, RECORD).graphs.compatible(0, 0) is None


@pytest.mark.parametrize(
    ("operator", "real", "same", "is_on_codes"),
    [
        ("com.microsoft.QLinearMul", "Mul", True, True),
        ("QLinearConv", "Conv", True, True),
        ("com.microsoft.QGemm", "Gemm", True, True),
        ("QLinearMatMul", "QLinearMatMul", True, True),
        ("com.microsoft.QLinearMul", "Add", False, True),
        ("MatMulInteger", "MatMul", False, False),
        ("QuantizeLinear", "Neg", False, False),
    ],
)
def test_a_quantised_operator_is_the_one_on_real_numbers(
    operator: str, real: str, same: bool, is_on_codes: bool
) -> None:
    """One that leaves its sums to be scaled is not: it does a step. Codes are no real numbers."""
    file, record = (
        f"g (float[8,16] x) => (float[8,16] y) {{ y = {kind} (x, x) }}" for kind in (operator, real)
    )
    case = Aligned(file, record, file_values={"y": A}, record_values={"y": B})
    assert case.graphs.same_op_type(0, 0) is same
    assert case.graphs.compatible(0, 0) is (None if is_on_codes else False)


def test_the_weights_of_a_node_are_seen_through_casts() -> None:
    """All recorded ones that they may be."""
    case = Aligned(FILE, RECORD, weights={"w": ["w"]})
    recorded = case.record.indexed.value_of("", "w")
    assert case.graphs.initializers_of(case.node("work")) == {recorded}
    assert case.graphs.initializers_of(case.node("sum")) == set()


@pytest.mark.parametrize(
    ("file_values", "record_values", "expected"),
    [
        ({}, {}, {"a": "a", "b": "b"}),
        ({"c": C}, {"d": C}, {"a": "a", "b": "b", "c": "d"}),
        ({"a": A, "b": B}, {"a": B, "b": A}, {"a": "b", "b": "a"}),
        ({"a": A, "b": A}, {"a": A, "b": A}, {"a": "a", "b": "b"}),
        ({"a": A, "b": A}, {"b": A, "d": A}, {"b": "b"}),
        ({"a": A}, {"a": B, "b": A, "d": A}, {"b": "b"}),
    ],
)
def test_inputs_are_matched_by_what_they_were_fed_else_by_name(
    file_values: dict[str, object], record_values: dict[str, object], expected: dict[str, str]
) -> None:
    """Where several hold the same, the name decides among them; it does not against a value."""
    rest = {"y": numbers(9)}
    case = Aligned(
        FILE,
        RECORD,
        file_values={**rest, **file_values},  # type: ignore[arg-type]
        record_values={**rest, **record_values},  # type: ignore[arg-type]
    )
    file, record = case.file.indexed, case.record.indexed
    matches = match_inputs(file, record, case.values)
    named = {file.value_names[v][1]: record.value_names[w][1] for v, w in matches.items()}
    assert named == expected


def test_initializers_of_a_node_are_those_of_all_its_inputs() -> None:
    """What each of them may be is put together."""
    text = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16] b = {1}> {
        [gemm] y = Gemm (w, x, b)
    }"""
    case = Aligned(text, text, weights={"w": ["w", "b"], "b": ["b"]})
    recorded = {case.record.indexed.value_of("", name) for name in "wb"}
    assert case.graphs.initializers_of(case.node("gemm")) == recorded
