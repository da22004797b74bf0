"""The difference of one weight: in its order, in another one, or of numbers in no order."""

import numpy as np
import pytest

from modelexport.rewriter.comparison.weights.reference_weights import ReferenceWeight
from modelexport.rewriter.comparison.weights.stored_steps import WeightNumbers
from modelexport.rewriter.comparison.weights.weight_difference import (
    WeightDifference,
    vector_like,
    weight_difference,
)

ARRAY = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)


def difference(exact: np.ndarray, actual: np.ndarray, operator: str) -> WeightDifference:
    reference = ReferenceWeight("weight", frozenset({"module"}), lambda: exact)
    return weight_difference(reference, exact, WeightNumbers(actual), operator)


@pytest.mark.parametrize(
    ("operator", "is_known"),
    [("MatMul", True), ("Conv", True), ("LSTM", False), ("com.microsoft.nchwc::Conv", False)],
)
def test_the_operator_says_whether_the_order_is_known(operator: str, *, is_known: bool) -> None:
    """Recurrent ones have another order of gates; those of a runtime have orders of their own."""
    result = difference(ARRAY, np.roll(ARRAY, 1, axis=0), operator)
    assert (result.fits, result.same_numbers, result.in_order) == (is_known, True, False)
    assert result.excess > 0


def test_another_order_of_the_axes_is_no_difference() -> None:
    """Exporters store matrices transposed."""
    result = difference(ARRAY, np.ascontiguousarray(ARRAY.T), "MatMul")
    assert (result.excess, result.in_order) == (0.0, True)


def test_another_shape_says_nothing_of_the_order() -> None:
    """The same numbers in other places are no change then."""
    result = difference(ARRAY, np.roll(ARRAY, 1, axis=0).reshape(3, 8), "MatMul")
    assert (result.fits, result.same_numbers) == (False, True)


def test_equal_vectors_tell_no_order() -> None:
    """They have but one."""
    row = ARRAY[0]
    assert [vector_like(a) for a in (row, row.reshape(1, 6, 1), ARRAY)] == [True, True, False]
    assert not difference(row, row.copy(), "Add").in_order
    assert difference(ARRAY, ARRAY.copy(), "Add").in_order
    assert difference(row, np.roll(row, 1), "Add").excess > 0
