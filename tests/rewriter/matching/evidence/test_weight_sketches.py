"""Recorded weights are found by the direction of their sketches."""

import msgspec
import numpy as np
import pytest

from modelexport.hierarchy.fingerprints import WeightFingerprint, weight_fingerprint
from modelexport.hierarchy.record import Tensor
from modelexport.hierarchy.sketches import PROJECTIONS, weight_sketch, weight_sketch_of_ones
from modelexport.hierarchy.sketches import weight_sketches as sketch_weights
from modelexport.rewriter.matching.evidence import weight_sketches
from modelexport.rewriter.matching.evidence.weight_sketches import RecordedWeights
from tests.helpers.values import noise

SHAPE = (8, 6)


def tensor(known: np.ndarray | WeightFingerprint | None) -> Tensor:
    weight = weight_fingerprint(known) if isinstance(known, np.ndarray) else known
    return Tensor("w", weight=weight)


def recorded(*weights: np.ndarray | WeightFingerprint) -> RecordedWeights:
    """Recorded weights, labelled 10, 11 and so on."""
    return RecordedWeights([10 + n for n in range(len(weights))], [tensor(w) for w in weights])


def labels(weights: RecordedWeights, *arrays: np.ndarray) -> list[list[int]]:
    return [match.labels for match in weights.match(list(arrays))]


def turned(array: np.ndarray, cosine: float, seed: int = 5) -> WeightFingerprint:
    """A fingerprint whose sketch has the given cosine with an array's, zero points aside."""
    sketch, ones = weight_sketch(array), weight_sketch_of_ones(array.shape)
    vectors = np.stack([ones, sketch, *noise(1, PROJECTIONS, seed=seed)]).T
    basis = np.linalg.qr(vectors.astype(np.float64))[0]
    along = basis[:, 1] * np.sign(basis[:, 1] @ sketch)
    new = cosine * along + np.sqrt(1 - cosine**2) * basis[:, 2]
    known = weight_fingerprint(array + seed)
    assert known is not None
    return msgspec.structs.replace(known, sketch=(new * 7).astype("<f4").tobytes())


def test_a_weight_is_found_as_it_lies_and_transposed() -> None:
    """Each is given back with its label; another weight has none."""
    weights = [noise(*SHAPE, seed=seed) for seed in range(3)]
    known = recorded(*weights)
    assert labels(known, weights[2], weights[0].T, noise(*SHAPE, seed=9)) == [[12], [10], []]
    assert labels(known) == []


def test_a_transposed_square_weight_is_found() -> None:
    """What is not found as it lies is tried the other way around."""
    square = noise(6, 6)
    assert labels(recorded(square), np.ascontiguousarray(square.T)) == [[10]]


def test_a_tensor_of_other_dimensions_is_not_transposed() -> None:
    """Only matrices are laid out the other way."""
    cube = noise(3, 4, 5)
    known = recorded(cube)
    assert labels(known, cube, cube.T.copy(), cube.reshape(-1)) == [[10], [], [10]]
    assert labels(known, cube.reshape(-1), cube.reshape(-1, 1)) == [[10], [10]]


def test_a_vector_is_laid_out_as_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sketched with matrices of one row, not with those of two."""
    sizes = []

    def sketch(arrays: list[np.ndarray]) -> np.ndarray:
        sizes.append(len(arrays))
        return sketch_weights(arrays)

    monkeypatch.setattr(weight_sketches, "weight_sketches", sketch)
    array = noise(48)
    actual = labels(recorded(array), array, array.reshape(1, 48), array.reshape(2, 24))
    assert actual == [[10], [10], [10]]
    assert sizes == [2, 1]


def test_a_scale_and_a_zero_point_do_not_matter() -> None:
    """The numbers are not exactly the recorded ones then."""
    weight = noise(*SHAPE)
    actual = recorded(weight).match([weight * 3, weight + 5, weight, (weight * 3 + 100).T])
    assert [match.labels for match in actual] == [[10]] * 4
    assert [match.exact for match in actual] == [False, False, True, False]
    assert recorded(weight).match([noise(*SHAPE, seed=9)]) == [([], False)]


@pytest.mark.parametrize(("cosine", "expected"), [(0.971, [[10]]), (0.969, [[]])])
def test_a_direction_that_is_nearly_the_same_is_the_weight(
    cosine: float, expected: list[list[int]]
) -> None:
    """The cosine of its sketch with the recorded one."""
    weight = noise(*SHAPE)
    assert labels(recorded(turned(weight, cosine)), weight) == expected


@pytest.mark.parametrize(("second", "expected"), [(0.9952, [[10, 11]]), (0.9948, [[10]])])
def test_nearly_as_good_directions_are_candidates_as_well(
    second: float, expected: list[list[int]]
) -> None:
    """Within half a hundredth of the best cosine."""
    weight = noise(*SHAPE)
    known = recorded(turned(weight, 1.0, seed=5), turned(weight, second, seed=6))
    assert labels(known, weight) == expected


@pytest.mark.parametrize(("change", "expected"), [(0.9e-5, True), (1.1e-5, False)])
def test_a_weight_of_nearly_the_same_sketch_is_exact(change: float, expected: bool) -> None:
    """A hundred-thousandth of the greatest number of its sketch."""
    weight = noise(*SHAPE)
    known = weight_fingerprint(weight)
    assert known is not None
    sketch = np.frombuffer(known.sketch, "<f4").astype(np.float64)
    sketch[2] += change * np.abs(sketch).max()
    moved = msgspec.structs.replace(known, sketch=sketch.astype("<f4").tobytes())
    assert recorded(moved).match([weight])[0].exact is expected


def test_one_exact_candidate_is_enough() -> None:
    """The other one may be a rounded copy."""
    weight = noise(*SHAPE)
    assert recorded(weight, np.round(weight, 2)).match([weight]) == [([10, 11], True)]


@pytest.mark.parametrize(("noise_of_all", "expected"), [(1e-7, [[]]), (1e-3, [[10]])])
def test_a_weight_of_equal_numbers_has_no_direction(
    noise_of_all: float, expected: list[list[int]]
) -> None:
    """What rounding leaves of it is nothing to go by."""
    weight = 100 * (1 + noise_of_all * noise(*SHAPE).astype(np.float64))
    assert labels(recorded(weight), weight) == expected


def test_plain_means_a_hundred_thousandth_of_the_sketch() -> None:
    """Less than that beside a zero point is what rounding leaves."""
    ones = weight_sketch_of_ones(SHAPE).astype(np.float64)
    across = np.linalg.qr(np.stack([ones, *noise(1, PROJECTIONS)]).T)[0][:, 1]
    for rest, plain in ((0.9e-5, True), (1.1e-5, False)):
        sketch = ones + rest * np.linalg.norm(ones) * across
        [direction] = weight_sketches._directions(sketch[None], weight_sketch_of_ones(SHAPE))
        assert np.linalg.norm(direction) == pytest.approx(0 if plain else 1)


def test_sketches_of_large_numbers_have_a_direction() -> None:
    """Their squares exceed single precision."""
    weight = noise(*SHAPE) * np.float32(1e25)
    assert labels(recorded(weight), weight, weight * 2) == [[10], [10]]
    assert labels(recorded(weight), weight, weight * np.float32(1e-10)) == [[10], [10]]


def test_a_weight_that_was_recorded_in_two_layouts_is_both() -> None:
    """Tied weights that one op reads as they lie, another one transposed: neither is preferred."""
    table, other = noise(11, 8, seed=1), noise(11, 8, seed=2)
    coarse = np.round(table * 3) / 3
    actual = recorded(table, other, np.ascontiguousarray(table.T)).match(
        [table, table.T, coarse, other]
    )
    assert [match.labels for match in actual] == [[10, 12], [10, 12], [10, 12], [11]]
    assert [match.exact for match in actual] == [True, True, False, True]


@pytest.mark.parametrize("place", [1, 3])
@pytest.mark.parametrize(("change", "expected"), [(0.9e-4, [10, 11]), (1.1e-4, [10])])
def test_weights_of_equal_sums_hold_the_same_numbers(
    place: int, change: float, expected: list[int]
) -> None:
    """Of squares and of magnitudes, to a ten-thousandth; the sums that may vanish do not count."""
    weight = noise(*SHAPE)
    known = weight_fingerprint(weight)
    assert known is not None
    sums = list(known.sums)
    sums[place] *= 1 + change
    sums[0], sums[2] = 5.0, -5.0
    other = weight_sketch(noise(*SHAPE, seed=8)).tobytes()
    twin = msgspec.structs.replace(known, sums=tuple(sums), sketch=other)
    assert labels(recorded(known, twin), weight) == [expected]


@pytest.mark.parametrize("change", [{"least": -9.0}, {"greatest": 9.0}])
def test_weights_of_other_extremes_hold_other_numbers(change: dict[str, float]) -> None:
    """However equal their sums are."""
    weight = noise(*SHAPE)
    known = weight_fingerprint(weight)
    assert known is not None
    other = weight_sketch(noise(*SHAPE, seed=8)).tobytes()
    twin = msgspec.structs.replace(known, sketch=other, **change)
    assert labels(recorded(known, twin), weight) == [[10]]


def test_groups_of_equal_numbers_are_kept_apart() -> None:
    """Two groups may have the same extremes."""
    known = weight_fingerprint(noise(*SHAPE))
    assert known is not None
    other = msgspec.structs.replace(known, sums=(0.0, 1.0, 0.0, 1.0))
    groups = weight_sketches._groups_of_equal_numbers([known, other, known, other])
    assert groups == [{0, 2}, {1, 3}, {0, 2}, {1, 3}]
    assert groups[0] is groups[2]


@pytest.mark.parametrize(("batch", "calls"), [(512, [5, 2, 1]), (2, [2, 2, 1, 2, 1])])
def test_many_weights_of_several_layouts_are_found(
    batch: int, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of one number of rows are sketched together, so many at a time."""
    sizes = []

    def sketch(arrays: list[np.ndarray]) -> np.ndarray:
        sizes.append(len(arrays))
        return sketch_weights(arrays)

    weights = [noise(*SHAPE, seed=seed) for seed in range(6)]
    known = recorded(*weights)
    arrays = [*weights[:3], noise(*SHAPE, seed=9).ravel(), *weights[3:5], weights[5].ravel()]
    arrays.append(weights[0].reshape(4, 12))
    monkeypatch.setattr(weight_sketches, "_BATCH_WEIGHTS", batch)
    monkeypatch.setattr(weight_sketches, "weight_sketches", sketch)
    actual = [[10], [11], [12], [], [13], [14], [15], [10]]
    assert labels(known, *arrays) == actual
    assert sizes == calls
