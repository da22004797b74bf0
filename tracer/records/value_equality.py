"""When two values count as equal, and when a value identifies the module that computed it."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch

from modelexport.hierarchy.fingerprints import ValueFingerprint, value_fingerprint
from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.hierarchy.sketches import INFINITY_THRESHOLD
from modelexport.tracer.eager.arrays import real_numbers

_MIN_ELEMENTS = 12
_MIN_DISTINCT = 3
"""Minimum number of elements and of distinct values of a value that identifies a module by
itself; smaller ones are too common."""

TOLERANCE = 1e-4
"""Maximum difference of two equal values, as a share of the largest magnitude: two runtimes
differ in the last digits."""

_SMALLEST = 1e-30
"""Maximum difference of two values around zero."""

Kind = tuple[int, str]
"""Number and kind of the elements of a value; equal values have the same."""


def values_agree(left: ValueFingerprint, right: ValueFingerprint) -> bool:
    """Whether two runtimes computed the same value, up to the last digits."""
    a, b = left.statistics(), right.statistics()
    if a.size != b.size or left.nan != right.nan:
        return False
    scale = max(float(np.abs(a).max(initial=0)), 1e-30)
    return bool(np.abs(a - b).max(initial=0) <= TOLERANCE * scale)


def is_distinctive(fingerprint: ValueFingerprint) -> bool:
    """Whether a value is rare enough to identify the module that computes it."""
    return (
        fingerprint.size >= _MIN_ELEMENTS
        and np.unique(fingerprint.statistics()).size >= _MIN_DISTINCT
    )


def has_fractions(fingerprint: ValueFingerprint) -> bool:
    """Whether a value holds numbers that are not whole: whole numbers are often equal by chance."""
    numbers = fingerprint.statistics()
    return fingerprint.kind == "f" and bool((numbers != np.round(numbers)).any())


def kind(fingerprint: ValueFingerprint) -> Kind:
    """Number and kind of the elements of a value."""
    return fingerprint.size, "i" if fingerprint.kind == "u" else fingerprint.kind


def tensor_kind(tensor: torch.Tensor) -> Kind:
    """Number and kind of the elements of a tensor."""
    letter = "f" if tensor.is_floating_point() else "b" if tensor.dtype is torch.bool else "i"
    return tensor.numel(), letter


class TensorValue:
    """A tensor, whose fingerprint and extremes are computed when they are needed."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.shape = tuple(tensor.shape)
        self.kind = tensor_kind(tensor)
        self._tensor = tensor

    @cached_property
    def fingerprint(self) -> ValueFingerprint | None:
        """Its fingerprint; None for what holds no real numbers."""
        array = real_numbers(self._tensor)
        return None if array is None else value_fingerprint(array)

    @cached_property
    def extremes(self) -> tuple[float, float] | None:
        """Its least and greatest number; None if a fingerprint would leave numbers out."""
        array = real_numbers(self._tensor)
        if array is None or not array.size:
            return None
        low, high = float(array.min()), float(array.max())
        return (low, high) if -INFINITY_THRESHOLD < low <= high < INFINITY_THRESHOLD else None

    @property
    def finite_extremes(self) -> tuple[float, float] | None:
        """The extremes of its finite numbers; None where it has none."""
        numbers = () if self.fingerprint is None else self.fingerprint.statistics()
        return (float(min(numbers)), float(max(numbers))) if len(numbers) else None

    def equals(self, other: ValueFingerprint) -> bool:
        """Whether it has the value of a fingerprint."""
        if self.kind != kind(other) or self.fingerprint is None:
            return False
        return values_agree(self.fingerprint, other)

    def copies(self, other: "TensorValue") -> bool:
        """Whether it has the very numbers of another tensor, as far as extremes tell.

        A normalisation that changes the last digits only is no copy.
        """
        if self.kind != other.kind or self.extremes is None or self.extremes != other.extremes:
            return False
        if self.shape != other.shape:
            return True
        if self._tensor.dtype == other._tensor.dtype:
            return torch.equal(self._tensor, other._tensor)
        left, right = real_numbers(self._tensor), real_numbers(other._tensor)
        return left is not None and right is not None and np.array_equal(left, right)


class ValueGroup:
    """Values of one kind, each with its owner. It quickly finds the values that may equal a tensor.

    Args:
        values: The owners with their values.
    """

    def __init__(self, values: Sequence[tuple[NodeKey, ValueFingerprint]]) -> None:
        self._values = values
        statistics = [value.statistics() for _, value in values]
        self._lowest = [float(numbers.min(initial=np.inf)) for numbers in statistics]
        self._highest = [float(numbers.max(initial=-np.inf)) for numbers in statistics]
        numbered = [place for place, numbers in enumerate(statistics) if numbers.size]
        self._order = sorted(numbered, key=self._lowest.__getitem__)
        self._ordered = [self._lowest[place] for place in self._order]
        self._without_numbers = [k for k, numbers in enumerate(statistics) if not numbers.size]

    def candidates(self, tensor: TensorValue) -> list[tuple[NodeKey, ValueFingerprint]]:
        """The values with the extremes of a tensor, and those that hold no finite number."""
        extremes = tensor.extremes or tensor.finite_extremes
        if extremes is None:
            return []
        low, high = extremes
        margin = 2 * TOLERANCE * max(abs(low), abs(high)) + 2 * _SMALLEST  # more than any tolerance
        first = bisect_left(self._ordered, low - margin)
        end = bisect_right(self._ordered, low + margin, lo=first)
        places = [place for place in self._order[first:end] if self._agrees(place, low, high)]
        return [self._values[place] for place in sorted(places + self._without_numbers)]

    def _agrees(self, place: int, low: float, high: float) -> bool:
        """Whether the extremes of a value are these, up to the tolerance."""
        lowest, highest = self._lowest[place], self._highest[place]
        tolerance = TOLERANCE * max(abs(lowest), abs(highest)) + _SMALLEST
        return abs(lowest - low) <= tolerance and abs(highest - high) <= tolerance
