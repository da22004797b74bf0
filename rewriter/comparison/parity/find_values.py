"""Finding arrays among the values of a file: the same numbers, or the same in another order.

Values are first compared by their sketches and norms. Those that may be an array are then fetched
and compared in full, as many at a time as fit into memory.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from modelexport.hierarchy.fingerprints import Array
from modelexport.rewriter.comparison.differences import Errors, measure_errors
from modelexport.rewriter.comparison.file_runner import FileRunner, memory_chunks
from modelexport.rewriter.comparison.thresholds import (
    LEAST_SKETCH_SLACK,
    MOST_NEAR_VALUES,
    SKETCH_SLACK,
)
from modelexport.rewriter.comparison.value_status import find_axes, nearest_axes
from modelexport.rewriter.comparison.value_summary import SummaryTable, ValueSummary
from modelexport.rewriter.execution.feeds import Feeds


@dataclass(frozen=True, eq=False)
class Sought:
    """An array to find among the values of a file.

    Attributes:
        array: The array.
        own: Values of its module: the array is compared with the nearest of them if it is not
            found.
    """

    array: Array
    own: tuple[str, ...] = ()

    @cached_property
    def summary(self) -> ValueSummary:
        """The summary of the array."""
        return ValueSummary.of(self.array)


@dataclass(frozen=True)
class Match:
    """The value of a file that equals an array, or with which the array is compared.

    Attributes:
        name: The value.
        errors: Its errors, in the order of elements in which both are nearest.
        agrees: Whether it holds the same numbers.
        layout: The order of the axes in the file, or "" where it is another order of the same
            numbers; None where the order is the same.
        in_place: With another order: the errors element by element.
    """

    name: str
    errors: Errors
    agrees: bool
    layout: str | None = None
    in_place: Errors | None = None

    def refused(self) -> "Match":
        """The same match, if another order of the numbers counts as a difference."""
        return Match(self.name, self.in_place or self.errors, agrees=False)


class ValueFinder:
    """Finds arrays among the values that a file computes, reads or stores.

    Args:
        runner: Runs the file, with the values exposed.
        names: The values that it computes.
        feeds: What it is fed.
        stored: Small weights by name, and constants: values that need no run.
        tolerance: Relative distance (0 or more) up to which values are the same.

    Attributes:
        summaries: The summaries of all these values, by name.
    """

    def __init__(
        self,
        runner: FileRunner,
        names: Sequence[str],
        feeds: Feeds,
        stored: Mapping[str, Array],
        tolerance: float,
    ) -> None:
        self._runner, self._feeds, self._tolerance = runner, feeds, tolerance
        self._known = {**stored, **feeds}
        self.summaries = runner.summaries(names, feeds)
        self.summaries |= {n: ValueSummary.of(a) for n, a in self._known.items()}
        by_size: dict[int, dict[str, ValueSummary]] = defaultdict(dict)
        for name, summary in self.summaries.items():
            by_size[summary.size][name] = summary
        self._by_size = {size: SummaryTable(values) for size, values in by_size.items()}

    def find(self, sought: Sequence[Sought]) -> list[Match | None]:
        """For each array the value that equals it, or the nearest of its own values; else None."""
        indices: dict[str, list[int]] = defaultdict(list)
        for index, item in enumerate(sought):
            for name in self._candidates(item):
                indices[name].append(index)
        matches: list[Match | None] = [None] * len(sought)
        for name, value in self.fetch(indices):
            ordered: Array | None = None
            for index in indices[name]:
                item = sought[index]
                match = self._compare(item.array, name, value)
                if not match.agrees and self._same_norm(item, name):
                    ordered = np.sort(value, axis=None) if ordered is None else ordered
                    match = self._compare_orders(item.array, name, value, ordered) or match
                if not match.agrees and name in item.own:
                    match = _in_nearest_order(match, item.array, value)
                if (match.agrees or name in item.own) and _is_better(match, matches[index], item):
                    matches[index] = match
        return matches

    def fetch(self, names: Iterable[str]) -> Iterator[tuple[str, Array]]:
        """Values by name, some at a time."""
        names = list(names)
        yield from ((name, self._known[name]) for name in names if name in self._known)
        computed = [name for name in names if name not in self._known]
        for chunk in memory_chunks([self.summaries[name].bytes for name in computed]):
            part = computed[chunk.start : chunk.stop]
            yield from self._runner.values(part, self._feeds).items()

    def _candidates(self, item: Sought) -> list[str]:
        summary = item.summary
        table = self._by_size.get(summary.size)
        if table is None:
            return []
        slack = max(LEAST_SKETCH_SLACK, SKETCH_SLACK * self._tolerance)
        distances = sorted(
            (distance, name not in item.own, name)
            for name, distance in table.distances(summary).items()
            if distance <= slack
        )
        near = [name for _, _, name in distances[:MOST_NEAR_VALUES]]
        if not near:
            slack = max(LEAST_SKETCH_SLACK, self._tolerance)
            near = table.with_norm(summary.norm, slack)
        own = [name for name in item.own if name in table.names]
        return list(dict.fromkeys([*near, *own]))

    def _same_norm(self, item: Sought, name: str) -> bool:
        """Whether a value may hold the same numbers in any order."""
        norm, other = item.summary.norm, self.summaries[name].norm
        return abs(norm - other) <= max(LEAST_SKETCH_SLACK, self._tolerance) * max(norm, other)

    def _compare(self, array: Array, name: str, value: Array) -> Match:
        errors = measure_errors(array, value)
        return Match(name, errors, not errors.diverges(self._tolerance))

    def _compare_orders(
        self, array: Array, name: str, value: Array, ordered: Array
    ) -> Match | None:
        """The match of a value that holds the same numbers in another order; None without one."""
        errors = measure_errors(np.sort(array, axis=None), ordered)
        if errors.diverges(self._tolerance):
            return None
        axes = find_axes(array, value, self._tolerance)
        if axes is not None:
            return Match(name, axes[1], agrees=True, layout=axes[0])
        in_place = measure_errors(array, value)
        return Match(name, errors, agrees=True, layout="", in_place=in_place)


def smallest_distances(matches: Iterable[Match | None]) -> dict[str, float]:
    """The distance of the nearest array from each value."""
    smallest: dict[str, float] = {}
    for match in (match for match in matches if match is not None):
        distance = match.errors.distance
        smallest[match.name] = min(distance, smallest.get(match.name, distance))
    return smallest


def _in_nearest_order(match: Match, array: Array, value: Array) -> Match:
    """The match in another order of the axes, if the value is much nearer to the array in that."""
    nearest = nearest_axes(array, value, match.errors)
    if nearest is None:
        return match
    return Match(match.name, nearest[1], agrees=False, layout=nearest[0])


def _is_better(match: Match, other: Match | None, item: Sought) -> bool:
    """Whether a match is better: it agrees, in the same order, and is a value of the module."""
    return other is None or _rank(match, item) < _rank(other, item)


def _rank(match: Match, item: Sought) -> tuple[bool, bool, bool, float]:
    own = match.name in item.own
    in_another_order = match.agrees and match.layout is not None
    return not match.agrees, in_another_order, not own, match.errors.distance
