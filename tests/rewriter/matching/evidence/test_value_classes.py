"""Values that hold the same numbers are one class; classes are compared by order statistics."""

import numpy as np
import pytest

from modelexport.rewriter.matching.evidence import value_classes
from modelexport.rewriter.matching.evidence.value_classes import ValueClasses, match_classes
from modelexport.rewriter.matching.thresholds import EXACT_TOLERANCE
from tests.helpers.values import fingerprint, noise


def classes(*arrays: object) -> ValueClasses:
    return ValueClasses({value: fingerprint(array) for value, array in enumerate(arrays)})


def steps(count: int, distinct: int) -> np.ndarray:
    """So many real numbers, so many of them different."""
    return np.minimum(np.arange(count), distinct - 1).astype(np.float32)


def test_reordered_and_reshaped_values_are_one_class() -> None:
    """Other numbers, another size or another count of infinities make another class."""
    array = noise(4, 6)
    actual = classes(array, array.T, array.reshape(2, 12), array + 1, array[:2])
    assert actual.members == [[0, 1, 2], [3], [4]]
    assert actual.class_of == {0: 0, 1: 0, 2: 0, 3: 1, 4: 2}


@pytest.mark.parametrize("odd", [np.inf, -np.inf, np.nan])
def test_counts_of_infinity_and_nan_tell_classes_apart(odd: float) -> None:
    """They are left out of the order statistics."""
    array = np.arange(40, dtype=np.float32)
    one, two = array.copy(), array.copy()
    one[[0, 1]] = two[0] = odd
    two[1] = -odd if np.isinf(odd) else 0
    actual = classes(one, two)
    assert len(actual.members) == len(actual.by_counts) == 2
    assert match_classes(classes(one), classes(two), np.inf) == [{}]


@pytest.mark.parametrize(("count", "expected"), [(12, True), (11, False)])
def test_a_value_of_few_elements_is_not_distinctive(count: int, expected: bool) -> None:
    """It needs twelve order statistics, however different they are."""
    actual = classes(steps(count, count))
    assert actual.distinctive == actual.unambiguous == [expected]


def test_infinite_elements_are_no_order_statistics() -> None:
    """Twelve elements, one of them infinite, are too few."""
    array = steps(12, 12)
    array[0] = np.inf
    assert classes(array).distinctive == [False]


@pytest.mark.parametrize(
    ("distinct", "distinctive", "unambiguous"),
    [(3, False, False), (4, True, False), (7, True, False), (8, True, True)],
)
def test_a_value_of_few_different_numbers_is_not_distinctive(
    distinct: int, distinctive: bool, unambiguous: bool
) -> None:
    """Masks have two or three; positions and counts are matched with their neighbours' help."""
    actual = classes(steps(16, distinct))
    assert (actual.distinctive, actual.unambiguous) == ([distinctive], [unambiguous])


def test_whole_numbers_are_never_unambiguous() -> None:
    """What counts up is computed everywhere."""
    actual = classes(np.arange(16))
    assert (actual.distinctive, actual.unambiguous) == ([True], [False])


@pytest.mark.parametrize(("step", "expected"), [(1.1e-4, True), (0.9e-4, False)])
def test_steps_that_rounding_makes_do_not_count(step: float, expected: bool) -> None:
    """Numbers differ when they are a ten-thousandth of the greatest magnitude apart."""
    array = np.full(16, -100.0)
    array[1:] += 100 * step * np.arange(1, 16)
    assert classes(array).distinctive == [expected]


def test_the_distance_of_two_classes_is_relative() -> None:
    """Largest difference of order statistics over the greatest magnitude of either."""
    actual = classes(np.arange(16), np.arange(16) * 2, np.zeros(16))
    assert actual.distance(0, 1) == actual.distance(1, 0) == 0.5
    assert actual.distance(2, 2) == 0
    assert actual.distance(0, 2) == 1


def test_no_values_make_no_classes() -> None:
    """A file of which nothing is known has nothing to compare."""
    actual = classes()
    assert (actual.members, actual.distinctive, actual.unambiguous) == ([], [], [])
    assert match_classes(actual, classes(noise(20)), EXACT_TOLERANCE) == []


def test_each_class_is_judged_by_its_own_numbers() -> None:
    """Equal numbers, zeros too, have no steps between them, whatever other classes hold."""
    actual = classes(steps(16, 16), np.zeros(20), np.full(20, 7.0), steps(16, 4))
    assert actual.distinctive == [True, False, False, True]
    assert actual.unambiguous == [True, False, False, False]
    assert actual.scale.tolist() == [15, 0, 7, 3]


def test_magnitudes_count_whatever_their_sign() -> None:
    """The scale is the greatest magnitude, of negative numbers as well."""
    assert classes(-np.arange(16.0) / 32).scale.tolist() == [15 / 32]


def shifted(array: np.ndarray, amount: float) -> np.ndarray:
    """The array with one number moved by so much of the greatest magnitude."""
    moved = np.sort(array.astype(np.float64))
    moved[3] += amount * np.abs(array).max()
    return moved


@pytest.mark.parametrize(("factor", "expected"), [(0.99, True), (1.01, False)])
def test_classes_match_within_the_tolerance(factor: float, expected: bool) -> None:
    """The distance is kept beside each candidate."""
    array = np.linspace(-2, 1, 16)
    moved = shifted(array, factor * EXACT_TOLERANCE)
    [actual] = match_classes(classes(array), classes(moved), EXACT_TOLERANCE)
    assert set(actual) == ({0} if expected else set())
    distances = [factor * EXACT_TOLERANCE] if expected else []
    assert list(actual.values()) == pytest.approx(distances, rel=1e-2)


@pytest.mark.parametrize("sign", [1, -1])
def test_classes_match_when_all_numbers_move(sign: int) -> None:
    """Comparing means first loses no pair whose numbers have all moved by nearly the tolerance."""
    arrays = [np.linspace(-2, 1, 16) + 10 * n for n in range(3)]
    moved = [array + sign * 0.99 * 0.01 * np.abs(array).max() for array in arrays]
    actual = match_classes(classes(*arrays), classes(*moved), 0.01)
    assert [set(candidates) for candidates in actual] == [{0}, {1}, {2}]


def test_a_distance_of_exactly_the_tolerance_matches() -> None:
    """The tolerance is the largest distance, not the first that is too large."""
    assert match_classes(classes([0.0, 1.0]), classes([0.25, 1.0]), 0.25) == [{0: 0.25}]


@pytest.mark.parametrize("larger", ["file", "record"])
def test_the_tolerance_is_of_the_greatest_magnitude_of_both(larger: str) -> None:
    """Values of half the size are one unit apart whoever is the larger one."""
    small, large = np.linspace(0, 1, 16), np.linspace(0, 2, 16)
    file, record = (small, large) if larger == "record" else (large, small)
    [actual] = match_classes(classes(file), classes(record), 0.9)
    assert actual == {0: 0.5}


def test_zeros_match_zeros() -> None:
    """A value without any magnitude is compared, too."""
    assert match_classes(classes(np.zeros(20)), classes(np.zeros(20)), EXACT_TOLERANCE) == [{0: 0}]


def test_small_values_are_compared_whole() -> None:
    """Of few elements all are compared; of none nothing differs."""
    recorded = classes([1.0, 2.0], [1.0, 3.0], np.zeros(0))
    assert match_classes(classes([2.0, 1.0], np.zeros(0)), recorded, 0.1) == [{0: 0}, {2: 0}]


@pytest.mark.parametrize("batch", [1 << 18, 30, 1])
def test_every_pair_within_the_tolerance_is_found(
    batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As comparing each class with each other one finds them, a few at a time or all at once."""
    sizes = []

    def compare(file: ValueClasses, numbers: np.ndarray, *rest: object) -> object:
        sizes.append(numbers.size)
        return within_tolerance(file, numbers, *rest)

    within_tolerance = value_classes._within_tolerance
    monkeypatch.setattr(value_classes, "_within_tolerance", compare)
    monkeypatch.setattr(value_classes, "_BATCH_PAIRS", batch)
    random = np.random.default_rng(1)
    centres = [random.standard_normal(32) + n // 4 for n in range(12)]
    file = classes(*(c + random.normal(0, 0.02, 32) for c in centres for _ in range(2)))
    record = classes(*(c + random.normal(0, 0.02, 32) for c in centres[::-1] for _ in range(3)))
    tolerance = 0.03
    expected = [
        {
            other
            for other in range(36)
            if np.abs(file.quantiles[n] - record.quantiles[other]).max()
            <= tolerance * max(file.scale[n], record.scale[other])
        }
        for n in range(24)
    ]
    actual = match_classes(file, record, tolerance)
    assert [set(candidates) for candidates in actual] == expected
    assert 24 < sum(map(len, expected)) < 24 * 36
    assert len(sizes) == {1 << 18: 1, 30: 7, 1: 24}[batch]
    assert max(sizes) <= {1 << 18: 24 * 36, 30: 30, 1: 12}[batch]
