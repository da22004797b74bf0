"""Fingerprints: what they are blind to, what they tell apart, and how far."""

import hypothesis.strategies as st
import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.extra.numpy import arrays

from modelexport.hierarchy.fingerprints import (
    QUANTILES,
    ValueFingerprint,
    WeightFingerprint,
    value_fingerprint,
    value_fingerprints,
    weight_fingerprint,
)
from modelexport.hierarchy.sketches import PROJECTIONS, weight_sketch

SIZES = (5, 100, 4096, 10_000)


def sketch(array: np.ndarray) -> np.ndarray:
    known = value_fingerprint(array)
    assert known is not None
    return np.frombuffer(known.sketch, "<f4").astype(np.float64)


@pytest.mark.parametrize("size", SIZES)
def test_order_statistics_do_not_see_the_order(size: int) -> None:
    """A shuffled tensor keeps its order statistics, and its sketch is another."""
    random = np.random.default_rng(size)
    array = random.standard_normal(size).astype(np.float32)
    shuffled = random.permutation(array)
    left, right = value_fingerprint(array), value_fingerprint(shuffled)
    assert left is not None
    assert right is not None
    assert left.quantiles == right.quantiles
    assert not np.allclose(sketch(array), sketch(shuffled))


@pytest.mark.parametrize("size", SIZES[1:])
def test_sketches_estimate_distances(size: int) -> None:
    """The distance of two sketches is that of the tensors, give or take what 16 signs allow."""
    random = np.random.default_rng(size)
    array = random.standard_normal(size)
    for amount in (0.01, 0.1, 1.0):
        other = array + amount * random.standard_normal(size)
        true = np.sqrt(np.mean((array - other) ** 2))
        actual = np.sqrt(np.mean((sketch(array) - sketch(other)) ** 2))
        assert true / 2 < actual < true * 2


def test_shape_does_not_matter_but_layout_does() -> None:
    """A reshaped tensor has the same fingerprint but for its shape, a transposed one has not."""
    array = np.random.default_rng(0).standard_normal((6, 8)).astype(np.float32)
    assert np.array_equal(sketch(array), sketch(array.reshape(3, 16)))
    assert not np.allclose(sketch(array), sketch(array.T))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_what_is_not_finite_is_counted(kind: type) -> None:
    """Infinities, what masks put in their place, and NaN are counted and left out."""
    large = np.finfo(kind).max
    infinity_threshold = min(float(large), 1e30)
    array = np.array([1, np.nan, np.inf, -np.inf, 3, 2, large, -large], kind)
    known = value_fingerprint(array, infinity_threshold)
    assert known is not None
    assert (known.nan, known.positive_infinite, known.negative_infinite) == (1, 2, 2)
    assert known.statistics().tolist() == [1, 2, 3]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # other work may run beside
@given(arrays(np.float32, st.integers(0, 60), elements=st.floats(width=32)))
def test_any_numbers_have_a_fingerprint(array: np.ndarray) -> None:
    """Nothing that a tensor holds stops it, and counts add up."""
    known = value_fingerprint(array)
    assert known is not None
    finite = np.sort(array[np.abs(array) < 1e30])
    others = known.nan + known.negative_infinite + known.positive_infinite
    assert others + finite.size == array.size == known.size
    assert np.isfinite(np.frombuffer(known.sketch, "<f4")).all()
    weight_fingerprint(array)


@pytest.mark.parametrize("threads", [1, 2])
def test_many_values_at_once_are_as_each_by_itself(threads: int) -> None:
    """Together or apart, on one thread or two: rounding of the sketches is all that differs."""
    random = np.random.default_rng(2)
    kinds = (np.float16, np.float32, np.float64, np.int64, np.uint8, np.bool_)
    many = [
        (random.standard_normal(size) * 9).astype(kind)
        for size in (0, 1, 2, 100, 4096, 10_000, 50_000)
        for kind in kinds
        for _ in range(3)
    ]
    for array in many[::2]:
        if array.dtype.kind == "f" and array.size > 2:
            array[random.integers(array.size, size=3)] = (np.nan, np.inf, -np.inf)
    many += [np.array(["a"]), many[-1].reshape(2, -1)]
    alone = [value_fingerprint(array) for array in many]
    together = value_fingerprints(many, threads=threads)
    pairs = [(a, b) for a, b in zip(alone, together, strict=True) if a is not None]
    assert [fingerprint is None for fingerprint in together] == [
        array.dtype.kind not in "fiub" for array in many
    ]
    assert pairs
    for alone, known in pairs:
        assert known is not None
        assert msgspec.structs.replace(known, sketch=alone.sketch) == alone
        made, expected = (np.frombuffer(each.sketch, "<f4") for each in (known, alone))
        assert np.allclose(made, expected, atol=1e-5 * np.abs(expected).max(initial=1))


@pytest.mark.parametrize(
    "change",
    [{"quantiles": b"12345"}, {"sketch": b"123"}, {"quantiles": bytes(4 * (QUANTILES + 1))}],
)
def test_numbers_of_another_length_are_no_fingerprint(change: dict[str, bytes]) -> None:
    """Whoever reads a record learns it there, and not from numpy."""
    known = value_fingerprint(np.ones(3, np.float32))
    assert known is not None
    with pytest.raises(ValueError, match=r"quantiles|sketch"):
        msgspec.structs.replace(known, **change)
    with pytest.raises(msgspec.ValidationError, match=r"quantiles|sketch"):
        msgspec.convert(msgspec.structs.asdict(known) | change, ValueFingerprint)


def test_a_sum_of_squares_is_not_negative() -> None:
    """Its root is the scale of a weight."""
    known = weight_fingerprint(np.ones(3, np.float32))
    assert known is not None
    with pytest.raises(ValueError, match="squares"):
        msgspec.structs.replace(known, sums=(1.0, -1.0, 1.0, 1.0))


@pytest.mark.parametrize("shape", [(0,), (0, 4), (4, 0), (2, 0, 3)])
def test_a_weight_without_elements_has_no_direction(shape: tuple[int, ...]) -> None:
    """It has a sketch all the same: of nothing."""
    assert not weight_sketch(np.zeros(shape, np.float32)).any()


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("shape", [(32, 16), (300, 40), (2000, 700)])
def test_rounding_hardly_turns_a_weight(shape: tuple[int, int], bits: int) -> None:
    """In few bits a weight keeps its direction; another one has a direction of its own."""
    random = np.random.default_rng(1)
    weight, other = (random.standard_normal(shape).astype(np.float32) for _ in range(2))
    step = np.abs(weight).max() / (2 ** (bits - 1) - 1)
    rounded = np.round(weight / step).astype(np.int8)
    assert cosine(weight_sketch(weight), weight_sketch(rounded)) > 0.97
    assert abs(cosine(weight_sketch(weight), weight_sketch(other))) < 0.9


def cosine(left: np.ndarray, right: np.ndarray) -> float:
    return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))


@pytest.mark.parametrize("length", [1, 4, 4 * PROJECTIONS - 4, 4 * PROJECTIONS + 4])
def test_a_sketch_has_all_its_numbers_or_none(length: int) -> None:
    """Damaged records have others."""
    for fields in ({"sketch": b""}, {"sketch": bytes(4 * PROJECTIONS)}):
        WeightFingerprint(3, 0.0, 1.0, (1.0, 1.0, 1.0, 1.0), **fields)
        ValueFingerprint((3,), "f", b"", **fields)
    with pytest.raises(ValueError, match="sketch"):
        WeightFingerprint(3, 0.0, 1.0, (1.0, 1.0, 1.0, 1.0), sketch=bytes(length))
    with pytest.raises(ValueError, match="sketch"):
        ValueFingerprint((3,), "f", b"", bytes(length))
