"""A weight is new where no recorded weight of a fitting size is missing in the file."""

import pytest

from modelexport.rewriter.matching.evidence.new_weights import find_new_weights
from modelexport.rewriter.matching.thresholds import MOST_PART_SIZES, MOST_SPLIT_PARTS

PRIME = 101


def is_new(size: int, *missing: int) -> bool:
    """Whether a weight of a number of elements is new, where weights of some sizes are missing."""
    actual = find_new_weights({7: size}, missing)
    assert actual <= {7}
    return bool(actual)


def test_where_nothing_is_missing_all_weights_are_new() -> None:
    """And only the weights that match nothing are asked about."""
    assert find_new_weights({3: 10, 5: 12}, ()) == {3, 5}
    assert find_new_weights({}, (10,)) == frozenset()


def test_a_weight_of_a_missing_size_may_be_that_weight_with_other_numbers() -> None:
    """One that fits none is new beside it."""
    assert not is_new(PRIME, PRIME)
    assert is_new(PRIME + 1, PRIME)
    assert find_new_weights({3: PRIME, 5: PRIME + 1}, (PRIME,)) == {5}


@pytest.mark.parametrize("count", range(2, MOST_SPLIT_PARTS + 1))
def test_a_weight_may_be_merged_from_missing_ones(count: int) -> None:
    """Of one size, which may be missing once, or of several."""
    assert not is_new(count * PRIME, PRIME)
    assert not is_new((count - 1) * PRIME + 10, PRIME, 10)


@pytest.mark.parametrize("count", range(2, MOST_SPLIT_PARTS + 1))
def test_a_weight_may_be_a_part_of_a_missing_one(count: int) -> None:
    """All parts are of one size."""
    assert not is_new(PRIME, count * PRIME)
    assert is_new(PRIME, count * PRIME + 1)


def test_more_parts_than_tools_make_are_none() -> None:
    """Neither merged nor split."""
    assert is_new((MOST_SPLIT_PARTS + 1) * PRIME, PRIME)
    assert is_new(PRIME, (MOST_SPLIT_PARTS + 1) * PRIME)


def test_only_the_smallest_missing_sizes_are_tried() -> None:
    """There are too many sums of more."""
    missing = [PRIME + 1000 * n for n in range(MOST_PART_SIZES + 1)]
    assert not is_new(missing[-2], *missing)
    assert is_new(missing[-1], *missing)
