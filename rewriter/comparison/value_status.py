"""How a file holds a value: the same numbers, the same numbers in another order, or others."""

import itertools
from enum import StrEnum

import numpy as np

from modelexport.hierarchy.fingerprints import Array
from modelexport.rewriter.comparison.differences import Errors, measure_errors
from modelexport.rewriter.comparison.thresholds import AGREEMENT_DISTANCE, MOST_PERMUTED_AXES
from modelexport.rewriter.comparison.value_sketches import is_further


class ValueStatus(StrEnum):
    """What a file holds of what a module returned."""

    EQUAL = "equal"
    PERMUTED = "permuted"
    """The same numbers in another order: the file lays them out in another way."""
    NO_NODE = "no node"
    """The file has no such value: it exists only inside fused nodes, or nothing computes it."""
    DIVERGES = "diverges"


def nearest_axes(expected: Array, actual: Array, in_place: Errors) -> tuple[str, Errors] | None:
    """The order of axes in which two arrays are much nearer than in their own; None without one.

    Args:
        expected: The array.
        actual: The other, of the same size.
        in_place: Their errors in their own order.
    """
    if in_place.distance < AGREEMENT_DISTANCE or not 1 < expected.ndim <= MOST_PERMUTED_AXES:
        return None
    orders = itertools.permutations(range(expected.ndim))
    errors = ((axes, measure_errors(expected.transpose(axes), actual)) for axes in orders)
    axes, nearest = min(errors, key=lambda pair: pair[1].distance)
    if not is_further(in_place.distance, nearest.distance):
        return None
    return ",".join(map(str, axes)), nearest


def find_axes(expected: Array, actual: Array, tolerance: float) -> tuple[str, Errors] | None:
    """The order of axes (`0,2,1`) in which two arrays agree, and their errors; None without one.

    Args:
        expected: The array.
        actual: The other, of the same size.
        tolerance: Relative distance (0 or more) up to which they agree.
    """
    if expected.ndim <= MOST_PERMUTED_AXES:
        for axes in itertools.permutations(range(expected.ndim)):
            errors = measure_errors(expected.transpose(axes), actual)
            if not errors.diverges(tolerance):
                return ",".join(map(str, axes)), errors
    return None


def has_same_numbers(expected: Array, actual: Array, tolerance: float) -> bool:
    """Whether two arrays of numbers hold the same ones, in whatever order."""
    if "O" in {expected.dtype.kind, actual.dtype.kind} or expected.size != actual.size:
        return False
    pair = np.sort(expected, axis=None), np.sort(actual, axis=None)
    return not measure_errors(*pair).diverges(tolerance)
