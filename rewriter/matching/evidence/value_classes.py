"""Value classes: tensors of one model that hold the same numbers, in whatever order and shape.

Reshaping or transposing a tensor gives another value of the same class. A class of the file is
compared with the recorded classes of its size. Usually one of these matches, or none.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from modelexport.hierarchy.fingerprints import QUANTILES, ValueFingerprint
from modelexport.rewriter.matching.thresholds import (
    DISTINCT_STEP,
    MINIMUM_DISTINCT,
    MINIMUM_STATISTICS,
    UNAMBIGUOUS_DISTINCT,
)

_Integers = npt.NDArray[np.int64]

_Counts = tuple[int, int, int, int]
"""Number of elements; how many of them are minus infinity, infinity, NaN."""

ClassCandidates = list[dict[int, float]]
"""For each class of a file the recorded classes that it may be, with the distance.

The distance is the largest difference of order statistics over the greatest magnitude.
"""

_BATCH_PAIRS = 1 << 18
"""Pairs of classes that are compared at a time. Bounds the memory."""

_MEANS_MARGIN = 1.1
"""Factor on the tolerance in the first comparison, by means, so that rounding loses no pair."""

_TINY = 1e-30
"""Stands in for a magnitude of zero, so that nothing is divided by zero."""


class ValueClasses:
    """The values of a file or of a record, those that hold the same numbers put together.

    Args:
        fingerprints: Of the values, by their numbers.

    Attributes:
        class_of: The class of each value that has a fingerprint.
        members: The values of each class.
        by_counts: Classes by what must be equal to match: numbers of elements of each sort.
        quantiles: Order statistics, a row for each class.
        scale: Greatest magnitude of each class.
        distinctive: Whether a class has enough different numbers to show where it comes from.
        unambiguous: Whether a class is matched without looking at its neighbours.
    """

    def __init__(self, fingerprints: Mapping[int, ValueFingerprint]) -> None:
        self.class_of: dict[int, int] = {}
        self.members: list[list[int]] = []
        self.by_counts: dict[_Counts, list[int]] = defaultdict(list)
        classes: dict[tuple[_Counts, bytes], int] = {}
        firsts: list[ValueFingerprint] = []
        for value, fingerprint in fingerprints.items():
            counts = (
                fingerprint.size,
                fingerprint.negative_infinite,
                fingerprint.positive_infinite,
                fingerprint.nan,
            )
            number = classes.setdefault((counts, fingerprint.quantiles), len(firsts))
            if number == len(firsts):
                firsts.append(fingerprint)
                self.members.append([])
                self.by_counts[counts].append(number)
            self.class_of[value] = number
            self.members[number].append(value)
        self.quantiles = _quantile_rows(firsts)
        self.scale = np.abs(self.quantiles).max(axis=1)
        distinctive, unambiguous = self._classify(firsts)
        self.distinctive: list[bool] = distinctive.tolist()
        self.unambiguous: list[bool] = unambiguous.tolist()

    def _classify(
        self, firsts: list[ValueFingerprint]
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Which classes are distinctive, and which of these are unambiguous."""
        statistics = np.array([len(fingerprint.quantiles) // 4 for fingerprint in firsts])
        steps = np.diff(self.quantiles) > DISTINCT_STEP * self.scale[:, None]
        distinct = steps.sum(axis=1) + 1
        real = np.array([fingerprint.kind == "f" for fingerprint in firsts], bool)
        distinctive = (statistics >= MINIMUM_STATISTICS) & (distinct >= MINIMUM_DISTINCT)
        return distinctive, distinctive & real & (distinct >= UNAMBIGUOUS_DISTINCT)

    def distance(self, one: int, other: int) -> float:
        """Largest difference of the order statistics of two classes, over the magnitude."""
        gap = float(np.abs(self.quantiles[one] - self.quantiles[other]).max())
        return gap / max(float(self.scale[one]), float(self.scale[other]), _TINY)


def _quantile_rows(fingerprints: list[ValueFingerprint]) -> npt.NDArray[np.float32]:
    """Order statistics, a row for each value; where there are few, the last one is repeated."""
    width = 4 * QUANTILES
    rows = []
    for fingerprint in fingerprints:
        row = fingerprint.quantiles or b"\0" * 4
        rows.append(row + row[-4:] * ((width - len(row)) // 4))
    return np.frombuffer(b"".join(rows), "<f4").reshape(-1, QUANTILES)


def match_classes(file: ValueClasses, record: ValueClasses, tolerance: float) -> ClassCandidates:
    """Find the recorded classes that each class of a file may be.

    Args:
        file: The classes of the file.
        record: The recorded classes.
        tolerance: Largest distance of a class and what it may be.
    """
    candidates: ClassCandidates = [{} for _ in file.members]
    for counts, in_file in file.by_counts.items():
        recorded = record.by_counts.get(counts)
        if recorded:
            pairs = _close_pairs(file, np.array(in_file), record, np.array(recorded), tolerance)
            for number, other, distance in pairs:
                candidates[number][other] = distance
    return candidates


def _close_pairs(
    file: ValueClasses,
    in_file: _Integers,
    record: ValueClasses,
    recorded: _Integers,
    tolerance: float,
) -> Iterable[tuple[int, int, float]]:
    """Pairs of classes whose order statistics agree, with the distance.

    Only pairs whose means are near are looked at: order statistics that agree have means that do.
    """
    means = record.quantiles[recorded].mean(axis=1)
    order = np.argsort(means)
    recorded, means = recorded[order], means[order]
    centre = file.quantiles[in_file].mean(axis=1)
    reach = tolerance * _MEANS_MARGIN * file.scale[in_file] + _TINY
    low, high = np.searchsorted(means, centre - reach), np.searchsorted(means, centre + reach)
    widths = high - low
    start = 0
    while start < in_file.size:
        stop = start + 1
        total = int(widths[start])
        while stop < in_file.size and total + widths[stop] <= _BATCH_PAIRS:
            total += int(widths[stop])
            stop += 1
        rows = np.repeat(np.arange(start, stop), widths[start:stop])
        first = np.cumsum(widths[start:stop]) - widths[start:stop]
        offsets = np.arange(total) - np.repeat(first, widths[start:stop])
        others = recorded[low[rows] + offsets]
        yield from _within_tolerance(file, in_file[rows], record, others, tolerance)
        start = stop


def _within_tolerance(
    file: ValueClasses,
    numbers: _Integers,
    record: ValueClasses,
    others: _Integers,
    tolerance: float,
) -> Iterable[tuple[int, int, float]]:
    """The pairs of classes that are near enough: the n-th of one list and of the other."""
    gap = np.abs(file.quantiles[numbers] - record.quantiles[others]).max(axis=1)
    scale = np.maximum(np.maximum(file.scale[numbers], record.scale[others]), _TINY)
    distance = gap / scale
    near = distance <= tolerance
    return zip(numbers[near].tolist(), others[near].tolist(), distance[near].tolist(), strict=True)
