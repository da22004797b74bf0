"""Evidence *values*: tensors are recognised by what they hold on the recorded probe inputs.

Tensors that hold the same numbers, in whatever order and shape, are one *class*. A class of
the file is compared with the recorded ones of the same size; usually one fits, or none.
Names, order and exporter do not matter.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from modelexport.hierarchy.fingerprints import QUANTILES, ValueFingerprint
from modelexport.rewriter.graph.indexed_graph import NONE, IndexedGraph

if TYPE_CHECKING:
    from modelexport.rewriter.matching.evidence.quantised_values import RoundedValues

Bucket = tuple[int, int, int, int]
"""Number of elements; how many are minus infinity, infinity, NaN."""

_FEWEST_ELEMENTS = 12
_FEWEST_DISTINCT = 4
"""Fewer elements or distinct order statistics are found anywhere and prove nothing."""

_MANY_DISTINCT = 8
"""A real-valued tensor with so many is recognised by itself, without its neighbours."""

_RESOLUTION = 1e-4
"""Of the greatest magnitude: what is nearer than that is not distinct."""

_PASSED_ON = 5e-3
"""Distance up to which a node gives on what it reads, rounded to 16 or 8 bits."""

_PAIRS_AT_A_TIME = 1 << 18


@dataclass(frozen=True)
class Precision:
    """How exactly a file computes what was recorded.

    Attributes:
        name: For people.
        tolerance: Largest difference of order statistics, over the greatest magnitude.
        enough: Share of telling values found in the record from which all must be: a quantised
            file reaches a good part of it in half precision.
        beyond: Magnitude from which its numbers count as infinite.
    """

    name: str
    tolerance: float
    enough: float
    infinity_threshold: float = 1e30


FULL_PRECISION = Precision("kept", 3e-4, 0.5)
HALF_PRECISION = Precision("half", 2e-2, 0.9, 6e4)


class Classes:
    """The values of one side, those that hold the same numbers put together.

    Attributes:
        of: Class of each value that has a fingerprint.
        members: Values of each class.
        telling: Whether a class says anything about where it comes from.
        sure: Whether it is recognised without looking at its neighbours.
    """

    def __init__(self, prints: Mapping[int, ValueFingerprint]) -> None:
        self.of: dict[int, int] = {}
        self.members: list[list[int]] = []
        self.buckets: dict[Bucket, list[int]] = defaultdict(list)
        known: dict[tuple[Bucket, bytes], int] = {}
        firsts: list[ValueFingerprint] = []
        for value, found in prints.items():
            bucket = (found.size, found.negative_infinite, found.positive_infinite, found.nan)
            number = known.setdefault((bucket, found.quantiles), len(firsts))
            if number == len(firsts):
                firsts.append(found)
                self.members.append([])
                self.buckets[bucket].append(number)
            self.of[value] = number
            self.members[number].append(value)
        counts = np.array([len(found.quantiles) // 4 for found in firsts], np.int64)
        self.quantiles = _rows(firsts)
        self.scale = np.abs(self.quantiles).max(axis=1, initial=0)
        steps = np.diff(self.quantiles, axis=1) > _RESOLUTION * self.scale[:, None]
        distinct = steps.sum(axis=1) + 1
        real = np.array([found.kind == "f" for found in firsts], bool)
        telling = (counts >= _FEWEST_ELEMENTS) & (distinct >= _FEWEST_DISTINCT)
        self.telling: list[bool] = telling.tolist()
        self.sure: list[bool] = (telling & real & (distinct >= _MANY_DISTINCT)).tolist()

    def distance(self, one: int, other: int) -> float:
        """Largest difference of the order statistics of two classes, over the magnitude."""
        gap = float(np.abs(self.quantiles[one] - self.quantiles[other]).max(initial=0))
        return gap / max(float(self.scale[one]), float(self.scale[other]), 1e-30)


def _rows(prints: list[ValueFingerprint]) -> npt.NDArray[np.float32]:
    """Order statistics, a row for each value; where there are few, the last one is repeated."""
    width = 4 * QUANTILES
    rows = []
    for known in prints:
        row = known.quantiles or b"\0" * 4
        rows.append(row + row[-4:] * ((width - len(row)) // 4) if len(row) < width else row)
    return np.frombuffer(b"".join(rows), "<f4").reshape(-1, QUANTILES)


Candidates = list[dict[int, float]]
"""For each class of a file the recorded classes that it may be, with the distance."""


def compare(here: Classes, there: Classes, precision: Precision) -> Candidates:
    """Find the recorded classes that each class of a file may be.

    The distance is the largest difference of order statistics over the greatest magnitude.
    """
    found: Candidates = [{} for _ in here.members]
    for bucket, ours in here.buckets.items():
        theirs = there.buckets.get(bucket)
        if theirs:
            left, right = np.array(ours), np.array(theirs)
            for a, b, distance in _near(here, left, there, right, precision.tolerance):
                found[a][b] = distance
    return found


def _near(
    here: Classes,
    ours: npt.NDArray[np.int64],
    there: Classes,
    theirs: npt.NDArray[np.int64],
    tolerance: float,
) -> Iterable[tuple[int, int, float]]:
    """Pairs whose order statistics agree; only those with near means are looked at."""
    means = there.quantiles[theirs].mean(axis=1)
    order = np.argsort(means)
    theirs, means = theirs[order], means[order]
    centre = here.quantiles[ours].mean(axis=1)
    reach = tolerance * 1.1 * here.scale[ours] + 1e-30
    low, high = np.searchsorted(means, centre - reach), np.searchsorted(means, centre + reach)
    widths = high - low
    start = 0
    while start < ours.size:
        stop = start + 1
        total = int(widths[start])
        while stop < ours.size and total + widths[stop] <= _PAIRS_AT_A_TIME:
            total += int(widths[stop])
            stop += 1
        a = np.repeat(np.arange(start, stop), widths[start:stop])
        offsets = np.arange(total) - np.repeat(
            np.cumsum(widths[start:stop]) - widths[start:stop], widths[start:stop]
        )
        b = theirs[low[a] + offsets]
        yield from _agreeing(here, ours[a], there, b, tolerance)
        start = stop


def _agreeing(
    here: Classes,
    a: npt.NDArray[np.int64],
    there: Classes,
    b: npt.NDArray[np.int64],
    tolerance: float,
) -> Iterable[tuple[int, int, float]]:
    gap = np.abs(here.quantiles[a] - there.quantiles[b]).max(axis=1, initial=0)
    scale = np.maximum(np.maximum(here.scale[a], there.scale[b]), 1e-30)
    distance = gap / scale
    good = distance <= tolerance
    return zip(a[good].tolist(), b[good].tolist(), distance[good].tolist(), strict=True)


class Side:
    """The graph of one side with what its values hold.

    Attributes:
        graph: The graph.
        prints: Fingerprints of its values.
        classes: Its values' classes.
        passed_values: Nodes whose first output holds the numbers of one of their inputs, to that
            input.
    """

    def __init__(self, graph: IndexedGraph, prints: Mapping[int, ValueFingerprint]) -> None:
        self.graph = graph
        self.prints = prints
        self.classes = Classes(prints)
        of = self.classes.of
        self.passed_values: dict[int, int] = {}
        for node in range(len(graph)):
            made = [of[value] for value in graph.output_values(node) if value in of]
            for value in graph.input_values(node):
                number = of.get(value)
                if number in made and self.classes.telling[number] and not graph.is_constant(value):
                    self.passed_values[node] = value
                    break

    def originators(self, number: int) -> list[int]:
        """Nodes that compute a class, and do not just pass it on."""
        makers = (self.graph.producer[value] for value in self.classes.members[number])
        return [n for n in dict.fromkeys(makers) if n != NONE and n not in self.passed_values]


def _computed(side: Side) -> set[int]:
    """Classes that are recognised by themselves and are no constants, nor what was fed."""
    of, graph = side.classes.of, side.graph
    fed = {of[value] for value in graph.external_inputs if value in of}
    telling = {
        n for value, n in of.items() if side.classes.sure[n] and not graph.is_constant(value)
    }
    return telling - fed


class Values:
    """Compares what a file computes with what was recorded.

    Args:
        here: The file.
        there: The record.
        precision: How exactly.

    Attributes:
        rounded: A comparison that allows for quantisation, in a file that needs it.
        vetoes: Whether a value that is not the recorded one speaks against a pair. Not in a
            file most of whose values are not to be found.
    """

    def __init__(self, here: Side, there: Side, precision: Precision) -> None:
        self.vetoes = False
        self.rounded: RoundedValues | None = None
        self.here = here
        self.there = there
        self.precision = precision
        self.candidates = compare(here.classes, there.classes, precision)

    def matched_share(self) -> float:
        """Share of what the file computes and is telling that the record has, too."""
        ours = _computed(self.here)
        return sum(bool(self.candidates[number]) for number in ours) / len(ours) if ours else 0.0

    def recalled_share(self) -> float:
        """Share of what was recorded and is telling that the file computes, too.

        A file whose operators were taken apart computes it all, and much more.
        """
        theirs = _computed(self.there)
        found = {
            recorded for number in _computed(self.here) for recorded in self.candidates[number]
        }
        return len(theirs & found) / len(theirs) if theirs else 0.0

    def of_value(self, value: int) -> dict[int, float]:
        """The recorded classes that a value of the file may be."""
        number = self.here.classes.of.get(value)
        return {} if number is None else self.candidates[number]

    def agree(self, value: int, recorded: int) -> bool | None:
        """Whether a value of the file may be a recorded one; None when it is not known."""
        number = self.there.classes.of.get(recorded)
        if number is None or value not in self.here.classes.of:
            return None
        return number in self.of_value(value)

    def compatible(self, node: int, op: int) -> bool | None:
        """Whether a node may be a recorded op, judged by their outputs; None for unknown."""
        known = False
        for value in self.here.graph.output_values(node):
            for recorded in self.there.graph.output_values(op):
                agreed = self.agree(value, recorded)
                if agreed:
                    return True
                known = known or agreed is not None
        if known and self.vetoes:
            return False
        return None if self.rounded is None else self.rounded.compatible(node, op)

    def formed(self, node: int, op: int) -> bool:
        """Whether a node gives a value of a shape that a recorded op gives."""
        here, there = self.here, self.there
        ours = {
            p.shape for v in here.graph.output_values(node) if (p := here.prints.get(v)) is not None
        }
        return any(
            known.shape in ours
            for value in there.graph.output_values(op)
            if (known := there.prints.get(value)) is not None
        )

    def ops_for(self, node: int) -> dict[int, float]:
        """The recorded ops that compute what a node computes, with the distance.

        Nothing for a node whose outputs are too plain to tell, or which passes an input on.
        """
        here = self.here
        read = {here.classes.of[v] for v in here.graph.input_values(node) if v in here.classes.of}
        found: dict[int, float] = {}
        for value in here.graph.output_values(node):
            number = here.classes.of.get(value)
            if number is None or not here.classes.telling[number]:
                continue
            for candidate, distance in self.candidates[number].items():
                alike = (other for other in read if candidate in self.candidates[other])
                if any(here.classes.distance(number, other) <= _PASSED_ON for other in alike):
                    continue
                for op in self.there.originators(candidate):
                    if self._of_one_sort(node, op):
                        found[op] = min(distance, found.get(op, distance))
        return found

    def _of_one_sort(self, node: int, op: int) -> bool:
        """Whether both are constant, or neither is; and both hold bodies, or neither does."""
        here, there = self.here.graph, self.there.graph
        alike = there.derived[op] == here.derived[node]
        return alike and (op in there.control_flow_nodes) == (node in here.control_flow_nodes)

    def is_sure(self, node: int) -> bool:
        """Whether an output of a node is recognised without looking at its neighbours."""
        classes = self.here.classes
        numbers = (classes.of.get(value) for value in self.here.graph.output_values(node))
        return any(number is not None and classes.sure[number] for number in numbers)
