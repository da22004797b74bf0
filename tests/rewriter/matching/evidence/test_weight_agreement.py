"""Whether a weight holds recorded numbers, and what a sample of weights amounts to."""

import numpy as np
import pytest

from modelexport.rewriter.matching.evidence.weight_agreement import (
    Agreement,
    ComparedSample,
    ComparedWeight,
    compare_numbers,
)
from tests.helpers.matched_weights import recorded
from tests.helpers.values import noise

ARRAY = noise(6, 4)
EXACT, ROUNDED = Agreement.EXACT, Agreement.ROUNDED


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_numbers_are_the_same_rounded_or_others(kind: str) -> None:
    """Rounded ones may be stored in full precision, too; a multiple was not rounded."""
    tensor, short = recorded(ARRAY, "a"), ARRAY.astype(kind)
    long = short.astype(np.float32)
    assert compare_numbers(ARRAY, tensor, full_precision=True) is EXACT
    assert compare_numbers(short, tensor, full_precision=False) is ROUNDED
    assert compare_numbers(long, tensor, full_precision=True) is ROUNDED
    assert compare_numbers(long * 2, tensor, full_precision=True) is None
    assert compare_numbers(noise(6, 4, seed=1), tensor, full_precision=True) is None


def test_equal_extremes_are_not_enough() -> None:
    """Rounded numbers of another direction are others."""
    array = noise(8, 8)
    moved = array.copy()
    moved[1:-1] = array[1:-1, ::-1]
    rounded = moved.astype(np.float16).astype(np.float32)
    assert compare_numbers(rounded, recorded(array, "a"), full_precision=True) is None


def test_what_was_not_recorded_cannot_agree() -> None:
    """Nor what has no finite numbers."""
    assert compare_numbers(ARRAY, recorded(None, "a"), full_precision=True) is None
    nothing = np.full(3, np.nan, np.float32)
    assert compare_numbers(nothing, recorded(ARRAY, "a"), full_precision=True) is None


@pytest.mark.parametrize(
    ("full_precision", "agreements", "differs", "has_few_digits"),
    [
        (True, {None}, True, False),
        (True, set(), True, False),
        (True, {EXACT, None}, False, False),
        (True, {ROUNDED, None}, False, True),
        (True, {ROUNDED, EXACT}, False, False),
        (False, {ROUNDED}, False, False),
    ],
)
def test_a_sample_is_summed_up(
    full_precision: bool, agreements: set[Agreement | None], differs: bool, has_few_digits: bool
) -> None:
    """One candidate that agrees is enough; an exact one was not rounded."""
    actual = ComparedSample.of(3, [ComparedWeight("w", full_precision, agreements)])
    assert actual == (3, ("w",) if differs else (), has_few_digits)


def test_samples_are_joined() -> None:
    """In their order."""
    first, second = ComparedSample(2, ("a",), False), ComparedSample(3, ("b",), True)
    assert first.joined(second) == (5, ("a", "b"), True)
    assert second.joined(first) == (5, ("b", "a"), True)
    assert first.joined(first) == (4, ("a", "a"), False)
