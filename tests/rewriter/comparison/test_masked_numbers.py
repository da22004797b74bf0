"""Elements that a mask hides have no errors, whatever number hides them."""

import numpy as np
import pytest

from modelexport.rewriter.comparison.differences import measure_errors, without_masked

SCORES = np.linspace(-3, 3, 6, dtype=np.float32)
HIDDEN = np.arange(6) % 3 == 0


def _softmax(array: np.ndarray) -> np.ndarray:
    powers = np.exp(array - array.max())
    return np.asarray(powers / powers.sum())


def _masked(number: float) -> np.ndarray:
    """Scores of which some are hidden; a large number swallows what it is added to."""
    return np.where(HIDDEN, np.float32(number), SCORES)


@pytest.mark.parametrize("kind", [np.float16, np.float32])
@pytest.mark.parametrize("number", [-128.0, -1e4, -65504.0, -np.inf, 0.0, -1.0, -20.0])
def test_a_hidden_element_is_an_error_where_it_weighs_something(
    kind: type[np.floating], number: float
) -> None:
    """That is where a softmax notices it: single precision has no weights below e^-103."""
    exact, other = _masked(float(np.finfo(kind).min)), _masked(number)
    errors = measure_errors(*without_masked(exact, other))
    assert (errors.distance == 0) == bool(np.array_equal(_softmax(exact), _softmax(other)))
    assert errors.unlike == 0


def test_errors_of_visible_elements_count() -> None:
    """They are not lost beside huge numbers."""
    lowest = float(np.finfo(np.float32).min)
    exact, other = _masked(lowest), np.where(HIDDEN, np.float32(-128), SCORES * 1.5)
    assert measure_errors(*without_masked(exact, other)).relative == pytest.approx(0.5)
    assert measure_errors(exact, exact * np.float32(0.5)).distance == pytest.approx(0.5)


@pytest.mark.parametrize("numbers", [np.array([]), np.array([-200.0, 1.0]), np.array([True])])
def test_other_numbers_stay(numbers: np.ndarray) -> None:
    """A number that is just small is a value like any other."""
    left, right = without_masked(numbers, numbers)
    np.testing.assert_array_equal(left, numbers)
    np.testing.assert_array_equal(right, numbers)
