"""Weights whose names do not tell, by their numbers."""

import numpy as np

from modelexport.hierarchy.sketches import weight_sketch, weight_sketch_of_ones
from modelexport.rewriter.matching.evidence.weight_contents import (
    match_contents,
    match_merged,
    match_parts,
    match_rounded,
)
from tests.helpers.values import indexed, noise
from tests.helpers.weights import recorded_by_size

ONE, TWO, LONG = noise(6, 4), noise(6, 4, seed=1), noise(9, 4, seed=2)


def test_weights_are_compared_with_recorded_ones_of_their_size() -> None:
    """Which they may be, whether their numbers are the very same, and which are left."""
    other, short = noise(6, 4, seed=7), noise(3, 4)
    arrays = {30: TWO * 2, 31: LONG, 32: other, 33: short, 34: ONE}
    actual = match_contents(arrays, recorded_by_size([ONE, TWO, LONG, ONE.T.copy()]))
    assert actual.candidates == {30: frozenset([1]), 34: frozenset([0, 3]), 31: frozenset([2])}
    assert actual.exact == {31, 34}
    assert {value: array.shape for value, array in actual.unmatched.items()} == {
        32: (6, 4),
        33: (3, 4),
    }


def test_a_weight_made_of_several_has_all_of_them() -> None:
    """If each of its parts can be only one."""
    arrays = {
        1: np.concatenate([ONE, LONG]),
        2: np.concatenate([LONG, noise(2, 4)]),
        3: np.concatenate([TWO, LONG]),
    }
    recorded = recorded_by_size([ONE, TWO, LONG, TWO])
    assert match_merged(arrays, recorded) == {1: frozenset([0, 2])}


def test_each_part_may_be_the_whole() -> None:
    """Weights that are merged of others are no parts."""
    text = """g (float[2, 6] x) => (float[2, 2] y) <float[1] a = {1.0}, float[1] b = {1.0}> {
        y = MatMul (x, a)
        z = MatMul (x, b)
    }"""
    graph = indexed(text)
    a, b = (graph.value_of("", name) for name in "ab")
    left, right = np.split(ONE, 2, axis=1)
    arrays = {a: left, b: right}
    recorded = recorded_by_size([TWO, ONE])
    whole = frozenset([1])
    assert match_parts(arrays, (), graph, recorded) == {a: whole, b: whole}
    assert match_parts(arrays, {a}, graph, recorded) == {}


def test_what_is_left_over_may_be_turned_further() -> None:
    """Holds ROUNDED_DIRECTION. No other weight of the file may be the recorded one."""
    recorded = recorded_by_size([ONE, TWO, LONG])
    rough, rougher = (turned(ONE, cosine) for cosine in (0.92, 0.88))
    assert not match_contents({1: rough}, recorded).candidates
    assert match_rounded({1: rough}, (), recorded) == {1: frozenset([0])}
    assert match_rounded({1: rougher}, (), recorded) == {}
    assert match_rounded({1: rough}, {0}, recorded) == {}
    assert match_rounded({1: rough, 2: rough * 2}, (), recorded) == {}


def turned(weight: np.ndarray, cosine: float) -> np.ndarray:
    """A weight whose sketch has about the given cosine with that of another one."""
    other = noise(*weight.shape, seed=40)
    ones = weight_sketch_of_ones(weight.shape)
    basis = np.linalg.qr(
        np.stack([ones, weight_sketch(weight), weight_sketch(other)]).T.astype(np.float64)
    )[0]
    along, across = basis.T[1:] @ weight_sketch(weight), basis.T[1:] @ weight_sketch(other)
    tangent = np.sqrt(1 - cosine**2) / cosine
    share = tangent * along[0] / (across[1] - tangent * across[0] * np.sign(across[1]))
    return (weight + share * other).astype(np.float32)


def test_weights_that_have_no_size_or_direction_are_passed_over() -> None:
    """Those behind them are compared."""
    weight = noise(6, 4)
    by_size = recorded_by_size([weight])
    codes = np.round(weight / np.abs(weight).max() * 1.6)
    arrays = {0: noise(5, 3), 1: codes.ravel(), 2: codes}
    assert match_rounded(arrays, (), by_size) == {2: {0}}
