"""The difference of one weight from that of the reference: how much of it is more than rounding."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from modelexport.hierarchy.fingerprints import Array
from modelexport.rewriter.comparison.thresholds import (
    MOST_PERMUTED_AXES,
    SAME_VALUE_DISTANCE,
    WEIGHT_SLACK,
)
from modelexport.rewriter.comparison.weights.reference_weights import ReferenceWeight
from modelexport.rewriter.comparison.weights.stored_steps import WeightNumbers

_ORDERED_OTHERWISE = {"LSTM", "GRU", "RNN"}
"""Standard operators whose weights are those of torch in another order: that of the gates."""


@dataclass(frozen=True)
class WeightDifference:
    """The difference of a weight from that of the reference.

    Attributes:
        reference: The latter.
        relative: Norm of the difference over the norm of the reference's.
        steps: Greatest difference in steps; None where it has none.
        excess: Norm of what is more than rounding, over the norm of the reference's.
        in_order: Whether both are near in one order, up to that of the axes; never for vectors.
        same_numbers: Whether both have the same numbers in any order.
        fits: Whether the shape says the order of the numbers, up to that of the axes.
    """

    reference: ReferenceWeight
    relative: float
    steps: float | None
    excess: float
    in_order: bool
    same_numbers: bool
    fits: bool


@np.errstate(over="ignore", invalid="ignore")  # a mask holds numbers whose square is infinite
def weight_difference(
    reference: ReferenceWeight, exact: Array, weight: WeightNumbers, operator: str
) -> WeightDifference:
    """The difference of a weight: number by number, else, in another order, of sorted numbers.

    Args:
        reference: The weight of the reference.
        exact: Its numbers.
        weight: Those of the file's weight, as many.
        operator: The operator that reads the latter.
    """
    is_vector = vector_like(exact)
    if np.array_equal(exact, weight.array):
        steps = None if weight.step is None else 0.0
        return WeightDifference(
            reference, 0.0, steps, 0.0, in_order=not is_vector, same_numbers=False, fits=True
        )
    exact = exact.astype(np.float32)
    norm = float(np.linalg.norm(exact)) or 1.0
    orders = list(_orders(exact, weight.array))
    fits = bool(orders) and operator not in _ORDERED_OTHERWISE and "::" not in operator
    orders = orders or [exact.reshape(weight.array.shape)]
    ordered = min(orders, key=lambda a: _distance(a, weight.array))
    relative = _distance(ordered, weight.array) / norm
    in_order = relative < SAME_VALUE_DISTANCE and not is_vector
    same_numbers = False
    if not in_order and not is_vector:
        sorted_pair = np.sort(ordered, axis=None), np.sort(weight.array, axis=None)
        most = None if weight.step is None else np.max(weight.step)
        over, steps = _beyond_rounding(*sorted_pair, most, None)
        same_numbers = not over.any()
    if in_order or is_vector or same_numbers:
        over, steps = _beyond_rounding(ordered, weight.array, weight.step, weight.at_edge)
    excess = float(np.linalg.norm(over)) / norm
    return WeightDifference(reference, relative, steps, excess, in_order, same_numbers, fits)


def vector_like(array: Array) -> bool:
    """Whether an array has one axis, those of one element aside: its numbers have one order."""
    return len([extent for extent in array.shape if extent != 1]) <= 1


def _beyond_rounding(
    exact: Array, actual: Array, step: Array | None, at_edge: Array | None
) -> tuple[Array, float | None]:
    """By how much each element is further away than rounding takes it; and the most steps."""
    distance = np.abs(actual - exact)
    slack = WEIGHT_SLACK * float(np.abs(exact).max(initial=0.0)) + WEIGHT_SLACK**2
    allowed: Array | float = slack
    steps = None
    if step is not None:
        share = 0.5 if at_edge is None else np.where(at_edge, 1.0, 0.5)
        allowed = slack + share * step
        steps = float((distance / np.maximum(step, np.finfo(np.float32).tiny)).max(initial=0.0))
    return np.maximum(distance - allowed, 0.0), steps


def _orders(exact: Array, actual: Array) -> Iterator[Array]:
    """An array in each order of its axes that has the shape of another one, extents of 1 aside.

    There are none if it has no such order, or too many axes.
    """
    shape = tuple(extent for extent in actual.shape if extent != 1)
    squeezed = exact.reshape([extent for extent in exact.shape if extent != 1])
    if squeezed.ndim <= MOST_PERMUTED_AXES:
        for axes in itertools.permutations(range(squeezed.ndim)):
            if tuple(squeezed.shape[axis] for axis in axes) == shape:
                yield squeezed.transpose(axes).reshape(actual.shape)


def _distance(exact: Array, actual: Array) -> float:
    return float(np.linalg.norm(actual - exact))
