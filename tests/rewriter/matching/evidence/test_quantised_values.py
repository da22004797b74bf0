"""Values of quantised files: near recorded ones by their sketches, in 8 bits by the direction."""

import dataclasses
from collections.abc import Mapping

import msgspec
import numpy as np
import pytest

from modelexport.hierarchy.fingerprints import ValueFingerprint
from modelexport.hierarchy.sketches import PROJECTIONS, value_sketch_of_ones
from modelexport.rewriter.matching.evidence.quantised_values import QuantisedValues
from tests.helpers.values import fingerprint, indexed, noise

CHAIN = """g (float[4, 16] x) => (float[4, 16] d) {
    a = Relu (x)
    b = Tanh (a)
    c = Sin (b)
    d = Exp (c)
}"""
GRAPH = indexed(CHAIN)
NAMES = "abcd"
RECORDED = {name: noise(4, 16, seed=seed) for seed, name in enumerate(NAMES)}

Known = Mapping[str, object]


def of_names(known: Known) -> dict[int, ValueFingerprint]:
    """Fingerprints by the numbers of the graph; arrays are summarised first."""
    return {
        GRAPH.value_of("", name): fingerprint(value) if isinstance(value, np.ndarray) else value
        for name, value in known.items()
    }


def quantised(file: Known, record: Known = RECORDED) -> QuantisedValues:
    return QuantisedValues.of(GRAPH, GRAPH, of_names(file), of_names(record))


def sketched(*numbers: float, size: int = 64, **changes: object) -> ValueFingerprint:
    """A fingerprint whose sketch is given."""
    sketch = np.zeros(PROJECTIONS)
    sketch[: len(numbers)] = numbers
    known = fingerprint(noise(size))
    return msgspec.structs.replace(known, sketch=sketch.astype("<f4").tobytes(), **changes)


def at(distance: float) -> ValueFingerprint:
    """A value whose sketch is so far from that of `sketched(1)`, which is the longer one."""
    return sketched(1 - distance)


def in_eight_bits(array: np.ndarray, zero_point: int = 0) -> np.ndarray:
    step = np.abs(array).max() / 127
    return (np.round(array / step) + zero_point).astype(np.int16 if zero_point else np.int8)


def test_a_noisy_value_is_near_its_recorded_one() -> None:
    """And far from all others, which are as large."""
    actual = quantised({"b": RECORDED["b"] + 0.1 * noise(4, 16, seed=9)})
    assert set(actual.candidate_ops(1)) == {1}
    assert actual.candidate_ops(1)[1] == actual.distance(1, 1) < 0.2
    assert actual.candidate_ops(0) == {}


@pytest.mark.parametrize(("distance", "expected"), [(0.34, {0: 0.34}), (0.36, {})])
def test_a_candidate_is_near(distance: float, expected: dict[int, float]) -> None:
    """A third of the longer sketch, about."""
    actual = quantised({"a": at(distance)}, {"a": sketched(1)})
    assert actual.candidate_ops(0) == {op: pytest.approx(d) for op, d in expected.items()}


@pytest.mark.parametrize(("distance", "expected"), [(0.169, {0, 1}), (0.171, {0})])
def test_candidates_are_about_as_near_as_the_nearest(distance: float, expected: set[int]) -> None:
    """Within half as much again, and a fiftieth that is noise."""
    known = {"a": sketched(0.9), "b": sketched(1, 0)}
    record = {"a": sketched(1), "b": sketched(0.9 / (1 - distance))}
    assert set(quantised({"a": known["a"]}, record).candidate_ops(0)) == expected


def test_the_longer_sketch_is_the_measure() -> None:
    """Of a value twice as large the distance is a half, not the whole."""
    for one, other in ((1, 2), (2, 1)):
        actual = quantised({"a": sketched(one)}, {"a": sketched(other)})
        assert actual.distance(0, 0) == 0.5


def test_sketches_of_zeros_are_not_divided_by_zero() -> None:
    """Two values of zeros are equal."""
    assert quantised({"a": np.zeros(64)}, {"a": np.zeros(64)}).distance(0, 0) == 0


@pytest.mark.parametrize(("size", "expected"), [(12, {0}), (11, set())])
def test_a_small_value_has_no_candidates(size: int, expected: set[int]) -> None:
    """Its sketch is near others by chance."""
    array = noise(size)
    assert set(quantised({"a": array}, {"a": array}).candidate_ops(0)) == expected
    assert quantised({"a": array}, {"a": array}).compatible(0, 0) is (True if expected else None)


def test_only_real_values_of_the_size_that_depend_on_inputs_are_compared() -> None:
    """Not constants, whole numbers, values without a sketch or of another size."""
    text = """g (float[64] x) => (float[64] e) {
        a = Constant <value_floats = [1.0]> ()
        b = Relu (x)
        c = Relu (x)
        d = Relu (x)
        e = Relu (x)
    }"""
    graph, array = indexed(text), noise(64)
    known = {
        "a": fingerprint(array),
        "b": msgspec.structs.replace(fingerprint(array), sketch=b""),
        "c": msgspec.structs.replace(fingerprint(array), kind="i"),
        "d": fingerprint(noise(65)),
        "e": fingerprint(array),
    }
    record = {graph.value_of("", name): value for name, value in known.items()}
    file = {graph.value_of("", "e"): fingerprint(array)}
    assert set(QuantisedValues.of(graph, graph, file, record).candidate_ops(4)) == {4}


def test_a_value_that_does_not_compare_has_no_candidates() -> None:
    """Of a size that was not recorded, or whole numbers without a sketch."""
    whole = msgspec.structs.replace(fingerprint(np.arange(64)), sketch=b"")
    actual = quantised({"a": noise(65), "b": whole})
    assert (actual.candidate_ops(0), actual.candidate_ops(1)) == ({}, {})


@pytest.mark.parametrize("first", [None, noise(65)], ids=["unknown", "another size"])
def test_an_output_that_does_not_compare_leaves_the_others(first: np.ndarray | None) -> None:
    """The second output of a node has its candidates all the same."""
    graph = indexed("g (float[64] x) => (float[64] b) { a, b = Unknown (x) }")
    a, b = graph.value_of("", "a"), graph.value_of("", "b")
    file = {b: sketched(1)} if first is None else {a: fingerprint(first), b: sketched(1)}
    actual = QuantisedValues.of(graph, graph, file, {b: sketched(1)})
    assert actual.candidate_ops(0) == {0: 0}


def test_a_recorded_input_is_no_candidate() -> None:
    """No op computes it."""
    actual = quantised({"a": RECORDED["a"]}, {"x": RECORDED["a"]})
    assert actual.candidate_ops(0) == {}


def test_the_nearest_output_of_a_recorded_op_counts() -> None:
    """An op of several near outputs keeps the smallest distance, whichever comes first."""
    graph = indexed("g (float[64] x) => (float[64] b) { a, b = Unknown (x) }")
    a, b = graph.value_of("", "a"), graph.value_of("", "b")
    for near, far in ((a, b), (b, a)):
        record = {near: sketched(1), far: sketched(1.02)}
        for file in ({a: sketched(1)}, {a: sketched(1.02), b: sketched(1)}):
            actual = QuantisedValues.of(graph, graph, file, record)
            assert actual.candidate_ops(0) == {0: 0}
            assert actual.distance(0, 0) == 0


@pytest.mark.parametrize("zero_point", [0, 100])
def test_a_value_in_eight_bits_is_compared_by_its_direction(zero_point: int) -> None:
    """Whatever its scale and zero point."""
    stored = in_eight_bits(RECORDED["c"] * 7, zero_point)
    actual = quantised({"c": stored})
    assert set(actual.candidate_ops(2)) == {2}
    assert actual.distance(2, 2) == pytest.approx(actual.candidate_ops(2)[2])
    assert actual.compatible(2, 2) is True
    assert actual.distance(2, 0) > 0.8


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (np.linspace(-128, 255, 64), True),
        (np.linspace(-129, 255, 64), False),
        (np.linspace(-128, 256, 64), False),
        (np.arange(64) // 8, True),
        (np.arange(64) * 7 // 64, False),
    ],
    ids=["all", "less", "more", "8 steps", "7 steps"],
)
def test_whole_numbers_within_eight_bits_may_be_real_ones(
    stored: np.ndarray, expected: bool
) -> None:
    """Not indices, masks and counts, which are larger or have fewer steps."""
    actual = quantised({"a": stored.astype(np.int64)}, {"a": stored.astype(np.float32)})
    assert bool(actual.candidate_ops(0)) is expected
    assert (actual.distance(0, 0) is not None) is expected
    assert actual.compatible(0, 0) is (True if expected else None)


@pytest.mark.parametrize("kind", [np.uint8, np.int8])
def test_both_signs_are_whole_numbers(kind: type) -> None:
    """A bool is none of them, nor is what has no sketch."""
    stored = np.arange(64).astype(kind)
    recorded = {"a": np.arange(64, dtype=np.float32)}
    assert quantised({"a": stored}, recorded).distance(0, 0) == pytest.approx(0, abs=1e-6)
    for change in ({"kind": "b"}, {"sketch": b""}):
        unknown = msgspec.structs.replace(fingerprint(stored), **change)
        assert quantised({"a": unknown}, recorded).distance(0, 0) is None


def test_a_value_of_ones_has_no_direction() -> None:
    """Without its zero point nothing is left, so it is as far from any as that is long."""
    steps = np.arange(16, dtype="<f4").tobytes()
    ones = sketched(*value_sketch_of_ones(64), kind="i", quantiles=steps)
    assert quantised({"a": ones}).distance(0, 0) == pytest.approx(1)


def test_the_distance_is_of_the_nearest_known_pair_of_outputs() -> None:
    """None where sizes differ, a side is unknown, or the recorded value is no real one."""
    a, c = (fingerprint(RECORDED[name]) for name in "ac")
    unsketched = msgspec.structs.replace(c, sketch=b"")
    actual = quantised({"a": a, "b": noise(65), "c": unsketched})
    assert actual.distance(0, 0) == 0
    assert [actual.distance(node, node) for node in (1, 2, 3)] == [None, None, None]
    assert quantised({"c": c}, {"c": unsketched}).distance(2, 2) is None
    whole = msgspec.structs.replace(a, kind="i")
    assert quantised({"a": a}, {"a": whole}).distance(0, 0) is None
    assert quantised({"a": a}, {}).distance(0, 0) is None


@pytest.mark.parametrize(("distance", "expected"), [(0.79, True), (0.81, False)])
def test_values_that_are_far_apart_speak_against_a_pair(distance: float, expected: bool) -> None:
    """Once pairs have shown that values are near; before, they say nothing."""
    other = sketched(1, quantiles=np.arange(16.0, dtype="<f4").tobytes())
    actual = quantised({"a": at(distance)}, {"a": other})
    assert actual.compatible(0, 0) is (True if expected else None)
    rejecting = dataclasses.replace(actual, rejects_mismatch=True)
    assert rejecting.compatible(0, 0) is expected


@pytest.mark.parametrize(("change", "expected"), [(0.14, True), (0.16, False)])
@pytest.mark.parametrize("larger", ["file", "record"])
def test_order_statistics_speak_for_another_layout(
    change: float, expected: bool, larger: str
) -> None:
    """The same numbers transposed have another sketch, and order statistics that are near."""
    known = np.linspace(-0.1, 0.05, 16)
    moved = known.copy()
    moved[3] += change / 10
    wide, near = (k.astype("<f4").tobytes() for k in (known, moved))
    file, record = (wide, near) if larger == "record" else (near, wide)
    actual = quantised({"a": sketched(1, quantiles=file)}, {"a": sketched(0, 1, quantiles=record)})
    assert dataclasses.replace(actual, rejects_mismatch=True).compatible(0, 0) is expected


@pytest.mark.parametrize(("factor", "expected"), [(1.16, True), (1.19, False)])
@pytest.mark.parametrize("larger", ["file", "record"])
def test_the_larger_value_is_the_measure_of_order_statistics(
    factor: float, expected: bool, larger: str
) -> None:
    """Whichever side it is on."""
    known = np.linspace(-0.1, 0.05, 16)
    moved = known.copy()
    moved[0] *= factor
    near, wide = (k.astype("<f4").tobytes() for k in (known, moved))
    file, record = (wide, near) if larger == "file" else (near, wide)
    actual = quantised({"a": sketched(1, quantiles=file)}, {"a": sketched(0, 1, quantiles=record)})
    assert dataclasses.replace(actual, rejects_mismatch=True).compatible(0, 0) is expected


def test_other_counts_of_order_statistics_do_not_compare() -> None:
    """Where one value has infinite elements and the other has none."""
    few = np.zeros(3, "<f4").tobytes()
    actual = quantised({"a": sketched(1, quantiles=few)}, {"a": sketched(0, 1)})
    assert dataclasses.replace(actual, rejects_mismatch=True).compatible(0, 0) is None


def test_values_without_order_statistics_agree() -> None:
    """All of their elements are infinite."""
    actual = quantised({"a": sketched(1, quantiles=b"")}, {"a": sketched(0, 1, quantiles=b"")})
    assert actual.compatible(0, 0) is True


def test_order_statistics_of_zeros_agree() -> None:
    """A magnitude of zero is not divided by."""
    zeros = np.zeros(16, "<f4").tobytes()
    actual = quantised({"a": sketched(1, quantiles=zeros)}, {"a": sketched(0, 1, quantiles=zeros)})
    assert actual.compatible(0, 0) is True


def test_a_value_in_eight_bits_that_is_far_says_nothing() -> None:
    """Saturated numbers lose their direction."""
    stored = in_eight_bits(RECORDED["a"])
    actual = dataclasses.replace(quantised({"a": stored}), rejects_mismatch=True)
    assert actual.compatible(0, 0) is True
    assert actual.compatible(0, 1) is None


def test_values_of_other_sizes_speak_against_a_pair() -> None:
    """Of other kinds they do not compare, nor where one is unknown."""
    actual = dataclasses.replace(
        quantised({"a": noise(65), "b": np.arange(64) * 1000}), rejects_mismatch=True
    )
    assert actual.compatible(0, 0) is False
    assert actual.compatible(1, 1) is None
    assert actual.compatible(2, 2) is None
    longer = dataclasses.replace(quantised({"a": np.arange(65) * 1000}), rejects_mismatch=True)
    assert longer.compatible(0, 0) is None
    unknown = dataclasses.replace(quantised(RECORDED, {}), rejects_mismatch=True)
    assert unknown.compatible(0, 0) is None


def test_whole_numbers_are_compared_with_whole_numbers() -> None:
    """They have no distance, so they say nothing but by their size."""
    whole = {"a": np.arange(64) * 1000}
    actual = dataclasses.replace(quantised(whole, whole), rejects_mismatch=True)
    assert actual.compatible(0, 0) is None
    shorter = dataclasses.replace(quantised({"a": np.arange(63)}, whole), rejects_mismatch=True)
    assert shorter.compatible(0, 0) is False
    unsigned = {"a": np.arange(64, dtype=np.uint8)}
    signed = dataclasses.replace(quantised({"a": np.arange(63)}, unsigned), rejects_mismatch=True)
    assert signed.compatible(0, 0) is None


def calibrated(*distances: float) -> QuantisedValues | None:
    """Calibrated by pairs whose results are so far apart."""
    names = [f"v{n}" for n in range(len(distances))]
    lines = "".join(f"{name} = Relu (x) " for name in names)
    graph = indexed(f"g (float[64] x) => (float[64] v0) {{ {lines} }}")
    numbers = [graph.value_of("", name) for name in names]
    file = {number: at(distance) for number, distance in zip(numbers, distances, strict=True)}
    record = {number: sketched(1) for number in numbers}
    actual = QuantisedValues.of(graph, graph, file, record)
    return actual.calibrated({n: n for n in range(len(distances))})


@pytest.mark.parametrize(
    ("distances", "used"),
    [
        ((0.49,), True),
        ((0.5,), True),
        ((0.51,), False),
        ((0.1, 0.49, 0.9), True),
        ((0.1, 0.51, 0.9), False),
        ((0.9, 0.1, 0.49), True),
        ((0.1, 0.51), False),
        ((), False),
    ],
)
def test_values_are_used_if_those_of_half_of_the_pairs_are_near(
    distances: tuple[float, ...], used: bool
) -> None:
    """The median, whatever the order; without any pair they say nothing."""
    assert (calibrated(*distances) is not None) is used


@pytest.mark.parametrize(
    ("distances", "rejects"),
    [
        ((0.39,), True),
        ((0.41,), False),
        ((0.9, *[0.39] * 10), True),
        ((0.9, *[0.39] * 9), False),
        ((0.9, 0.9, *[0.39] * 19), True),
    ],
    ids=str,
)
def test_a_mismatch_rejects_if_nine_of_ten_pairs_are_near(
    distances: tuple[float, ...], rejects: bool
) -> None:
    """Else values only speak for pairs."""
    actual = calibrated(*distances)
    assert actual is not None
    assert actual.rejects_mismatch is rejects


def test_pairs_that_do_not_compare_do_not_calibrate() -> None:
    """Only known distances are counted."""
    actual = quantised({"a": at(0.1), "b": noise(65)}, {"a": sketched(1), "b": sketched(1)})
    assert actual.calibrated({1: 1}) is None
    trusted = actual.calibrated({0: 0, 1: 1})
    assert trusted is not None
    assert trusted.rejects_mismatch
    assert not actual.rejects_mismatch
