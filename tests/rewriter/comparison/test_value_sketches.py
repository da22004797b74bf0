"""Which value a value of a file is: sketches of a few arrays."""

import numpy as np
import pytest

from modelexport.hierarchy.fingerprints import Array
from modelexport.rewriter.comparison.differences import measure_errors
from modelexport.rewriter.comparison.thresholds import AGREEMENT_DISTANCE, OTHER_VALUE_RATIO
from modelexport.rewriter.comparison.value_sketches import ValueSketches, is_blocked
from modelexport.rewriter.comparison.value_status import nearest_axes
from modelexport.rewriter.comparison.value_summary import ValueSummary

RANDOM = np.random.default_rng(7)
SHAPE = (4, 5, 6)
BEFORE = RANDOM.standard_normal(SHAPE)
AFTER = np.maximum(BEFORE, 0)
"""What a fused node returns, and what it computed on the way."""
SKETCHES = ValueSketches({name: ValueSummary.of(a) for name, a in [("b", BEFORE), ("a", AFTER)]})


def rounded(array: Array, size: float) -> ValueSummary:
    """The summary of an array with noise of this size, as a share of its norm."""
    noise = RANDOM.standard_normal(array.shape)
    return ValueSummary.of(array + noise * size * np.linalg.norm(array) / np.linalg.norm(noise))


@pytest.mark.parametrize("size", [0, AGREEMENT_DISTANCE / 10, AGREEMENT_DISTANCE / 2])
def test_a_rounded_value_is_the_array_that_is_much_nearer(size: float) -> None:
    """And no other one of its size; of other sizes nothing is said."""
    value = rounded(AFTER, size)
    assert not SKETCHES.is_other("a", value)
    assert SKETCHES.is_nearest("a", value)
    assert SKETCHES.is_other("b", value)
    assert not SKETCHES.is_nearest("b", value)
    larger = ValueSummary.of(np.zeros(AFTER.size + 1))
    assert not SKETCHES.is_other("a", larger)
    assert SKETCHES.is_nearest("a", larger)


def test_a_value_that_is_far_from_all_may_be_each() -> None:
    """As one of a module whose weights are others."""
    value = ValueSummary.of(RANDOM.standard_normal(SHAPE))
    for name in "ab":
        assert not SKETCHES.is_other(name, value)
        assert SKETCHES.is_nearest(name, value)


@pytest.mark.parametrize("axes", [(0, 2, 1), (2, 0, 1)])
def test_a_rounded_value_is_nearest_in_the_order_of_its_axes(axes: tuple[int, ...]) -> None:
    """In its own order it is far away; what is near in its own order stays in it."""
    value = BEFORE.transpose(axes) * (1 + AGREEMENT_DISTANCE / 10)
    in_place = measure_errors(BEFORE, value)
    found = nearest_axes(BEFORE, value, in_place)
    assert found is not None
    assert found[0] == ",".join(map(str, axes))
    assert found[1].distance * OTHER_VALUE_RATIO < in_place.distance
    near = BEFORE * (1 + AGREEMENT_DISTANCE / 10)
    assert nearest_axes(BEFORE, near, measure_errors(BEFORE, near)) is None
    other = RANDOM.standard_normal(SHAPE)
    assert nearest_axes(BEFORE, other, measure_errors(BEFORE, other)) is None


def test_values_in_blocks() -> None:
    """All that onnxruntime's blocked operators compute, but for the one that reorders it back."""
    assert is_blocked("com.microsoft.nchwc.Conv")
    assert not is_blocked("com.microsoft.nchwc.ReorderOutput")
    assert not is_blocked("Conv")
    assert not is_blocked(None)
