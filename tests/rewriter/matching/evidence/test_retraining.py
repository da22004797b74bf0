"""Whether a file holds the recorded weights, or those of another training."""

from collections.abc import Mapping

import ml_dtypes
import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from modelexport.hierarchy.fingerprints import WeightFingerprint, weight_fingerprint
from modelexport.hierarchy.record import Probe, Record, Source, Tensor
from modelexport.rewriter.matching.evidence.retraining import (
    describe_retraining,
    element_count,
    find_retraining,
    greatest_rounding,
    number_distance,
)
from modelexport.rewriter.matching.thresholds import EXACT_WEIGHT
from tests.helpers.values import noise


def known(array: np.ndarray, **changes: object) -> WeightFingerprint:
    fingerprint = weight_fingerprint(array)
    assert fingerprint is not None
    return msgspec.structs.replace(fingerprint, **changes)


ARRAY = np.array([-2.0, 0.0, 1.0, 1.0, 2.0, -2.0, 1.0, 1.0], np.float32)
SCALE = np.sqrt(np.mean(ARRAY**2))


def test_the_same_numbers_have_no_distance_in_any_order() -> None:
    """Reordered and reshaped they are the same numbers."""
    array = noise(6, 4)
    assert number_distance(array, known(array)) == 0
    assert number_distance(array.T, known(array)) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"least": -2.5}, 0.2),
        ({"greatest": 2.5}, 0.2),
        ({"least": -4.0, "greatest": 4.0}, 0.5),
        ({"sums": (6.0, 16.0, 0.0, 0.0)}, 0.5 / np.sqrt(2)),
        ({"sums": (2.0, 32.0, 0.0, 0.0)}, 0.5),
    ],
    ids=["least", "greatest", "both", "sum", "squares"],
)
def test_the_distance_is_the_largest_difference_over_its_scale(
    change: dict[str, object], expected: float
) -> None:
    """Extremes over the greater one, means over the square root of the mean of squares."""
    assert number_distance(ARRAY, known(ARRAY, **change)) == pytest.approx(expected)


def test_zeros_are_not_divided_by_zero() -> None:
    """A weight of zeros is itself, and nothing else."""
    zeros = np.zeros(8, np.float32)
    assert number_distance(zeros, known(zeros)) == 0
    actual = number_distance(ARRAY, known(zeros))
    assert actual is not None
    assert actual > 1e20
    assert number_distance(zeros, known(ARRAY, count=0, sums=(0.0, 0.0, 0.0, 0.0))) == 1


@pytest.mark.parametrize("array", [np.zeros(0), np.full(3, np.nan), np.array(["a"])])
def test_a_weight_without_finite_numbers_has_no_distance(array: np.ndarray) -> None:
    """Nothing can be compared."""
    assert number_distance(array, known(ARRAY)) is None


def test_elements_are_counted_without_reading_them() -> None:
    """The product of the extents; a scalar is one."""
    assert element_count(onnx.TensorProto(dims=[2, 3, 4])) == 24
    assert element_count(onnx.TensorProto()) == 1


def model_of(arrays: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    return helper.make_model(helper.make_graph([], "g", [], [], weights))


def record_of(arrays: Mapping[str, np.ndarray], **changes: object) -> Record:
    tensors = tuple(
        msgspec.structs.replace(Tensor(name, weight=weight_fingerprint(array)), **changes)
        for name, array in arrays.items()
    )
    return Record(
        source=Source("handmade", "hand", 17),
        digest="",
        modules=(),
        ops=(),
        tensors=tensors,
        probe=Probe(),
    )


def note(file: Mapping[str, np.ndarray], record: Record) -> str:
    return find_retraining(model_of(file), record, numpy_helper.to_array)


def test_the_recorded_weights_need_no_note() -> None:
    """Nor does a file without any."""
    arrays = {"a": noise(3, 4), "b": noise(8)}
    assert note(arrays, record_of(arrays)) == ""
    assert note({}, record_of(arrays)) == ""


def test_other_weights_are_noted_with_an_example() -> None:
    """How many were compared, and the first that differs."""
    arrays = {"a": noise(3, 4), "b": noise(8), "c": noise(4, 4)}
    actual = note({**arrays, "a": noise(3, 4, seed=1), "c": noise(4, 4, seed=2)}, record_of(arrays))
    assert actual == describe_retraining(2, 3, "a")
    assert actual == (
        "the weights are not the recorded ones (2 of 3 compared weights differ, for example a): "
        "the model was trained further, or anew"
    )


@pytest.mark.parametrize(("change", "expected"), [(0.9e-5, False), (1.1e-5, True)])
def test_rounding_is_no_training(change: float, expected: bool) -> None:
    """A hundred-thousandth of the greatest number is what sums may lose."""
    array = np.array([-1, *[0.5] * 6, 1], np.float64)
    moved = array.copy()
    moved[0] -= change
    assert bool(note({"w": moved}, record_of({"w": array}))) is expected


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_numbers_of_few_digits_in_a_type_of_many_were_rounded(kind: str) -> None:
    """A tool went to 16 bits and back; other weights that went there are others still."""
    array, other = noise(8, 8), noise(8, 8, seed=1)
    rounded, other_rounded = (a.astype(kind).astype(np.float32) for a in (array, other))
    error = number_distance(rounded, known(array))
    assert error is not None
    assert EXACT_WEIGHT < error <= greatest_rounding(rounded, known(array))
    assert note({"w": rounded}, record_of({"w": array})) == ""
    assert note({"w": other_rounded}, record_of({"w": array}))
    assert note({"w": rounded + np.float32(1e-3)}, record_of({"w": array}))


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_equal_and_very_small_numbers_are_rounded_in_one_direction(kind: str) -> None:
    """The first scales of a layer: their squares move by twice as much; half precision has less."""
    array = np.full(32, 1.0037e-6, np.float32)
    rounded = array.astype(kind).astype(np.float32)
    assert not np.array_equal(rounded, array)
    assert note({"w": rounded}, record_of({"w": array})) == ""


@pytest.mark.parametrize(("steps", "expected"), [(101, False), (102, True)])
def test_very_small_numbers_go_to_the_nearest_one(steps: int, expected: bool) -> None:
    """Half precision has few numbers there: the nearest one is a rounding, the next is not."""
    smallest = float(np.finfo(np.float16).smallest_subnormal)
    array, file = (np.full(32, n * smallest, np.float32) for n in (100.7, steps))
    assert bool(note({"w": file}, record_of({"w": array}))) is expected


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_recorded_numbers_of_few_digits_were_not_rounded(kind: str) -> None:
    """A model in 16 bits that was trained further has as few digits."""
    array = noise(8, 8).astype(kind).astype(np.float32)
    trained = (array * 1.02).astype(kind).astype(np.float32)
    assert greatest_rounding(trained, known(array)) == EXACT_WEIGHT
    assert note({"w": trained}, record_of({"w": array}))


def test_rounding_is_a_unit_of_the_last_digit() -> None:
    """Of the shortest type that holds all numbers; too large ones for half precision, too."""
    array = noise(8)
    short = array.astype(np.float16).astype(np.float32)
    assert greatest_rounding(short, known(array)) == np.finfo(np.float16).eps
    assert greatest_rounding(short * 2**40, known(array * 2**40)) == EXACT_WEIGHT
    large = (array * 2**40).astype("bfloat16").astype(np.float32)
    assert greatest_rounding(large, known(array)) == float(ml_dtypes.finfo("bfloat16").eps)
    assert greatest_rounding(np.append(short, array[:1]), known(array)) == EXACT_WEIGHT


@pytest.mark.parametrize(("size", "expected"), [(8, True), (7, False)])
def test_small_weights_are_not_compared(size: int, expected: bool) -> None:
    """A scalar may be anything."""
    assert bool(note({"w": noise(size, seed=1)}, record_of({"w": noise(size)}))) is expected


def test_the_sixteen_smallest_weights_are_compared() -> None:
    """Larger ones are not read."""
    arrays = {f"w{n}": noise(8 + n, seed=n) for n in reversed(range(17))}
    last = {**arrays, "w16": noise(24)}
    assert note(last, record_of(arrays)) == ""
    before = {**arrays, "w15": noise(23)}
    assert note(before, record_of(arrays)) == describe_retraining(1, 16, "w15")


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_weights_in_full_precision_are_compared(kind: type) -> None:
    """Whatever was rounded cannot be."""
    record = record_of({"w": noise(3, 4)})
    assert note({"w": noise(3, 4, seed=1).astype(kind)}, record)
    assert not note({"w": noise(3, 4, seed=1).astype(np.float16)}, record)


def test_only_recorded_weights_of_the_main_graph_are_compared() -> None:
    """Neither others, nor those of a branch, nor those without a fingerprint."""
    other = {"w": noise(3, 4, seed=1)}
    arrays = {"w": noise(3, 4)}
    assert note(other, record_of({"v": noise(3, 4)})) == ""
    assert note(other, record_of(arrays, graph="0.then_branch")) == ""
    assert note(other, record_of(arrays, weight=None)) == ""


def test_what_cannot_be_read_is_not_compared() -> None:
    """Nor what holds no numbers."""
    record = record_of({"w": noise(3, 4)})
    assert find_retraining(model_of({"w": noise(3, 4, seed=1)}), record, lambda _: None) == ""
    assert note({"w": np.full((3, 4), np.nan, np.float32)}, record) == ""
