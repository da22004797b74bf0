"""When two values count as equal, and which values show where they come from."""

from collections.abc import Iterable

import numpy as np

from fixtures_gen.eager import Eager, Sorted, corners

MIN_ELEMENTS = 8
MIN_DISTINCT = 3
"""Minimum number of elements and of distinct elements of a value that shows a module."""

TOLERANCE = 1e-4
"""Maximum difference of two equal values, as a share of the largest magnitude: two runtimes
differ in the last digits."""

INFINITY = 1e30
"""Magnitudes from here on are compared as infinite: masks have such numbers."""


def is_distinctive(numbers: Sorted) -> bool:
    """Whether a value is rare enough to show which module computed it."""
    if numbers.size < MIN_ELEMENTS:
        return False
    finite = numbers if _is_finite(numbers) else numbers[np.abs(numbers) < INFINITY]
    if not finite.size:
        return False
    gap = TOLERANCE * max(abs(float(finite[0])), abs(float(finite[-1])))
    return int((np.diff(finite) > gap).sum()) + 1 >= MIN_DISTINCT


def _is_finite(numbers: Sorted) -> bool:
    """Whether sorted numbers are all below what counts as infinite."""
    return bool(numbers[0] > -INFINITY and numbers[-1] < INFINITY)


def alike(left: Sorted, right: Sorted) -> bool:
    """Whether two sorted arrays have the same numbers, up to rounding."""
    if left.size != right.size:
        return False
    if left.size and _is_finite(left) and _is_finite(right):
        limit = TOLERANCE * max(abs(float(left[0])), abs(float(left[-1])))
        if (np.abs(corners(left) - corners(right)) > limit).any():
            return False  # most values differ in these, which is fast to see
        return bool(np.abs(left - right).max() <= limit)
    left, right = (
        np.where(np.abs(numbers) >= INFINITY, np.copysign(np.inf, numbers), numbers)
        for numbers in (left, right)
    )
    equal = left == right
    gap = np.abs(left[~equal] - right[~equal])
    if not np.isfinite(gap).all():
        return False
    scale = np.abs(left[np.isfinite(left)]).max(initial=0)
    return bool((gap <= TOLERANCE * scale).all())


def classes_like(numbers: Sorted, eager: Eager) -> Iterable[int]:
    """The classes with some numbers. Their corners are compared first, which is fast."""
    classes = eager.sizes.get(numbers.size)
    if not classes:
        return []
    rows = eager.corners_of(numbers.size)
    largest = np.abs(rows).max(axis=1)
    with np.errstate(invalid="ignore"):
        gaps = np.abs(rows - corners(numbers)).max(axis=1)
    # a little wider than the comparison itself; rows with masked numbers need the comparison
    near = (gaps <= 2 * TOLERANCE * largest) | (largest >= INFINITY)
    candidates = (c for c, is_near in zip(classes, near, strict=True) if is_near)
    return [c for c in candidates if alike(eager.classes[c], numbers)]
