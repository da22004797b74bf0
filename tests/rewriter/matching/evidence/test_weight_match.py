"""What the numbers of matched weights say about a file."""

import pytest

from modelexport.rewriter.matching.evidence.weight_match import WeightMatch
from modelexport.rewriter.matching.thresholds import MINIMUM_WEIGHT_SHARE, RETRAINED_SHARE

COMPARED = 100


def test_the_share_is_of_the_elements_of_distinctive_weights() -> None:
    """A file without any has a share of nothing."""
    assert WeightMatch(matched_elements=3, distinctive_elements=4).matched_share == 3 / 4
    assert WeightMatch(matched_elements=1, distinctive_elements=1).matched_share == 1
    assert WeightMatch().matched_share == 0


def differing(count: int) -> tuple[str, ...]:
    return tuple(f"w{n}" for n in range(count))


def test_a_file_is_retrained_where_enough_weights_differ() -> None:
    """Of those that were compared; where none was, nothing is known."""
    most = int(RETRAINED_SHARE * COMPARED)
    assert WeightMatch(compared=COMPARED, differing=differing(most + 1)).retrained
    assert not WeightMatch(compared=COMPARED, differing=differing(most)).retrained
    assert not WeightMatch().retrained


@pytest.mark.parametrize("share", [1.0, MINIMUM_WEIGHT_SHARE])
def test_all_digits_are_there(share: float) -> None:
    """Where enough elements are matched, none was rounded, and it was not trained anew."""
    elements = 1000
    match = WeightMatch(matched_elements=int(share * elements), distinctive_elements=elements)
    assert match.are_recorded_exactly


def test_digits_are_missing() -> None:
    """By rounding, by training, or because too few elements are matched."""
    all_matched = {"matched_elements": 10, "distinctive_elements": 10}
    assert not WeightMatch(rounded=True, **all_matched).are_recorded_exactly
    retrained = WeightMatch(compared=2, differing=differing(2), **all_matched)
    assert not retrained.are_recorded_exactly
    assert not WeightMatch(distinctive_elements=10).are_recorded_exactly
