"""How exactly a file must compute what was recorded, before a mismatch rejects a pair."""

import pytest

from modelexport.hierarchy.sketches import INFINITY_THRESHOLD
from modelexport.rewriter.matching.evidence.comparison_modes import (
    FULL_PRECISION,
    HALF_PRECISION,
    QUANTISED,
)


@pytest.mark.parametrize(
    ("file_share", "record_share", "expected"),
    [(0.5, 0, True), (0, 0.5, True), (0.49, 0.49, False), (1, 1, True), (0, 0, False)],
)
def test_in_full_precision_half_of_either_side_is_enough(
    file_share: float, record_share: float, expected: bool
) -> None:
    """Expanded functions compute all that was recorded and much more; cut files a part of it."""
    assert FULL_PRECISION.rejects_mismatch(file_share, record_share) is expected


@pytest.mark.parametrize(
    ("file_share", "record_share", "expected"),
    [(0.9, 0.5, True), (0.89, 1, False), (1, 0.49, False)],
)
def test_in_half_precision_both_shares_are_needed(
    file_share: float, record_share: float, expected: bool
) -> None:
    """A file of quantised operators shows a few real numbers, all near recorded ones."""
    assert HALF_PRECISION.rejects_mismatch(file_share, record_share) is expected


def test_a_quantised_file_rejects_nothing() -> None:
    """Its values are near recorded ones by chance."""
    assert not QUANTISED.rejects_mismatch(1, 1)


def test_numbers_are_compared_as_exactly_as_they_were_computed() -> None:
    """Tolerances, and the magnitudes from which numbers count as infinite."""
    assert (FULL_PRECISION.tolerance, HALF_PRECISION.tolerance) == (3e-4, 2e-2)
    assert QUANTISED.tolerance == FULL_PRECISION.tolerance
    assert FULL_PRECISION.infinity_threshold == INFINITY_THRESHOLD == 1e30
    assert QUANTISED.infinity_threshold == INFINITY_THRESHOLD
    assert HALF_PRECISION.infinity_threshold == 6e4
