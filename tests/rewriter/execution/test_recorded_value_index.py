"""Recorded values are known by their sketches: as good as sorting, and never another's."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from modelexport.hierarchy.fingerprints import (
    Array,
    ValueFingerprint,
    value_fingerprint,
    value_fingerprints,
)
from modelexport.rewriter.execution.recorded_value_index import RecordedValueIndex
from modelexport.rewriter.matching.evidence.comparison_modes import FULL_PRECISION
from modelexport.rewriter.matching.evidence.value_classes import ValueClasses, match_classes

SIZES = (2, 12, 100, 4096, 10_000)
KINDS = (np.float16, np.float32, np.float64, np.int64, np.bool_)


def generate(random: np.random.Generator, count: int = 3) -> list[Array]:
    """Values of many sizes and types."""
    return [
        (random.standard_normal(size) * 9).astype(kind)
        for size in SIZES
        for kind in KINDS
        for _ in range(count)
    ]


def noisy(array: Array, random: np.random.Generator) -> Array:
    """What another runtime computes: the last digits differ."""
    if array.dtype not in (np.float32, np.float64):
        return array
    return (array * (1 + 3e-7 * random.standard_normal(array.shape))).astype(array.dtype)


def fingerprints_of(values: list[Array]) -> list[ValueFingerprint]:
    return [value for value in value_fingerprints(values) if value is not None]


def classes_of(fingerprints: list[ValueFingerprint]) -> ValueClasses:
    return ValueClasses(dict(enumerate(fingerprints)))


def test_recorded_values_get_the_recorded_statistics() -> None:
    """Each one those of its own value, to the bit, although its last digits differ."""
    random = np.random.default_rng(5)
    values = generate(random)
    recorded = fingerprints_of(values)
    actual = RecordedValueIndex(recorded).fingerprints([noisy(value, random) for value in values])
    assert recorded
    for known, original in zip(actual, recorded, strict=True):
        assert known is not None
        assert msgspec.structs.replace(known, sketch=original.sketch) == original


def test_infinite_values_and_zeros_do_not_disturb_the_others() -> None:
    """Other values of the size of masked scores get the recorded statistics all the same."""
    random = np.random.default_rng(11)
    value = random.standard_normal(4096).astype(np.float32)
    masked = np.where(value < 0, -np.inf, value).astype(np.float32)
    observed = [noisy(value, random), masked, np.zeros_like(value)]
    actual = RecordedValueIndex(fingerprints_of([value])).fingerprints(observed)
    expected = value_fingerprints([value, *observed[1:]])
    assert len(expected) == len(observed)
    for known, true in zip(actual, expected, strict=True):
        assert known is not None
        assert true is not None
        assert known.quantiles == true.quantiles


def test_it_finds_the_classes_that_sorting_finds() -> None:
    """The recorded classes that each value may be, whether it was recorded, is new, or changed."""
    random = np.random.default_rng(6)
    values = generate(random)
    record = classes_of(fingerprints_of(values))
    new = generate(np.random.default_rng(7), 1)
    changed = [value[::-1] for value in values[::2]]  # not in the layout that was recorded
    observed = [noisy(value, random) for value in (*values, *new, *changed)]
    for part in (observed, observed[: len(values)], observed[len(values) :]):
        recalled = RecordedValueIndex(fingerprints_of(values)).fingerprints(part, threads=2)
        plain = value_fingerprints(part)
        actual, expected = (
            match_classes(classes, record, FULL_PRECISION.tolerance)
            for classes in (classes_of([p for p in each if p]) for each in (recalled, plain))
        )
        ours, theirs = (classes_of([p for p in each if p]).class_of for each in (recalled, plain))
        assert [actual[ours[n]].keys() for n in range(len(part))] == [
            expected[theirs[n]].keys() for n in range(len(part))
        ]


def test_the_same_numbers_in_another_order_stay_one_class() -> None:
    """Also when just one of the orders was recorded: both are sorted then."""
    random = np.random.default_rng(8)
    value = random.standard_normal((60, 50)).astype(np.float32)
    recorded = fingerprints_of([value])
    here = noisy(value, random)
    actual = RecordedValueIndex(recorded).fingerprints([here, here.T])
    assert len(classes_of([p for p in actual if p]).members) == 1


@pytest.mark.parametrize("apart", [1e-7, 1e-6, 3e-6])
def test_between_values_that_are_nearly_equal_sorting_decides(apart: float) -> None:
    """A variance, and the variance with an epsilon: each keeps what it is nearest to."""
    random = np.random.default_rng(9)
    value = 1 + random.random(4096).astype(np.float32)
    both = [value, (value + np.float32(apart)).astype(np.float32)]
    actual = RecordedValueIndex(fingerprints_of(both)).fingerprints(both)
    assert actual == value_fingerprints(both)


@given(
    st.lists(arrays(np.float32, 24, elements=st.floats(width=32)), min_size=1, max_size=6),
    st.integers(0, 6),
)
def test_any_numbers_have_the_statistics_that_sorting_gives(
    values: list[Array], known: int
) -> None:
    """Infinite, not a number, zero or huge: what differs is within the tolerance of matching."""
    assert values
    for actual, expected in zip(
        RecordedValueIndex(fingerprints_of(values[:known])).fingerprints(values),
        map(value_fingerprint, values),
        strict=True,
    ):
        assert actual is not None
        assert expected is not None
        assert (
            msgspec.structs.replace(actual, quantiles=expected.quantiles, sketch=expected.sketch)
            == expected
        )
        ours, theirs = actual.statistics(), expected.statistics()
        scale = np.abs(theirs).max(initial=0)
        assert (np.abs(ours - theirs) <= FULL_PRECISION.tolerance * scale).all()
