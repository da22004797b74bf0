"""Which weights of a file are not those of its reference, and more than rounded.

A file of fewer bits has other numbers everywhere, but each of them is the nearest that it can
store. A weight that is further away was changed. If most weights are, the quantiser did not round
to the nearest number, and nothing follows from it.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from modelexport.hierarchy.fingerprints import Array
from modelexport.rewriter.comparison.thresholds import (
    MOST_CHANGED_MODULES,
    MOST_PERMUTED_AXES,
    SAME_VALUE_DISTANCE,
    WEIGHT_SLACK,
)
from modelexport.rewriter.comparison.weights.file_norms import find_norms
from modelexport.rewriter.comparison.weights.reference_weights import (
    Owners,
    ReferenceWeight,
    ReferenceWeights,
)
from modelexport.rewriter.comparison.weights.results import ChangedWeight
from modelexport.rewriter.comparison.weights.weight_numbers import (
    WeightNumbers,
    WeightRead,
    WeightReader,
)

Key = Callable[[str], str]
"""The key of a module by its path in the file; the reference has the same keys."""


@dataclass(frozen=True)
class _Difference:
    """The difference of a weight from that of the reference.

    Attributes:
        reference: The latter.
        relative: Norm of the difference over the norm of the reference's.
        steps: Greatest difference in steps; None where it has none.
        excess: Norm of what is more than rounding, over the norm of the reference's.
        in_order: Whether both have their numbers in the same order, up to that of the axes.
        same_numbers: Whether both have the same numbers in any order.
    """

    reference: ReferenceWeight
    relative: float
    steps: float | None
    excess: float
    in_order: bool
    same_numbers: bool


def find_changed_weights(
    reader: WeightReader,
    references: ReferenceWeights,
    key: Key,
    tag: Callable[[str], str | None],
) -> list[ChangedWeight]:
    """The weights of a file that were changed, the most changed first.

    Args:
        reader: Reads the weights of the file.
        references: The weights of the reference.
        key: The key of a module by its path.
        tag: The tag of a module by its path; None for one that is not shown.
    """
    differences = list(_differences(reader, references, key))
    orders = {read.place for read, difference in differences if difference.in_order}
    changed = [
        (read, difference)
        for read, difference in differences
        if difference.excess > 0 and (not difference.same_numbers or read.place in orders)
    ]
    if not _is_rounding(differences, changed):
        changed = [(read, difference) for read, difference in changed if difference.steps is None]
    changed.sort(key=lambda pair: (-float(f"{pair[1].excess:.2e}"), pair[0].reader))
    return [
        ChangedWeight(
            *(shown_tag, read.name, match.reference.label, match.relative, read.reader, match.steps)
        )
        for read, match in changed
        if (shown_tag := tag(_owner(reader, read, match, key))) is not None
    ]


def _owner(reader: WeightReader, read: WeightRead, difference: _Difference, key: Key) -> str:
    """Path of the module that owns a weight: of several the one with the largest weight."""
    owners = [path for path in read.owners if key(path) in difference.reference.owners]
    return max(owners or read.owners, key=reader.largest_weight)


_Pairs = Sequence[tuple[WeightRead, _Difference]]


def _is_rounding(differences: _Pairs, changed: _Pairs) -> bool:
    """Whether the file has rounded its weights: most modules in fewer bits are not changed."""
    modules, most = (
        len({read.owners for read, difference in pairs if difference.steps is not None})
        for pairs in (changed, differences)
    )
    return modules <= max(1, MOST_CHANGED_MODULES * most)


def _differences(
    reader: WeightReader, references: ReferenceWeights, key: Key
) -> Iterator[tuple[WeightRead, _Difference]]:
    """Each weight of a module with the nearest one of the reference's module."""
    norms = {key(n.path): frozenset(map(key, n.before)) for n in find_norms(reader)}
    for owners, reads in _by_owners(reader.reads).items():
        weights = references.of(frozenset(map(key, owners)), norms)
        arrays = [(weight, array) for weight in weights if (array := weight.source()) is not None]
        candidates = [
            (read, _difference(weight, array, numbers))
            for read in reads
            if arrays and (numbers := reader.numbers(read)) is not None
            for weight, array in arrays
            if 1 < array.size == numbers.array.size
        ]
        yield from _nearest(candidates)


def _nearest(
    candidates: Sequence[tuple[WeightRead, _Difference]],
) -> Iterator[tuple[WeightRead, _Difference]]:
    """Each weight once: those of one name first, then the nearest."""
    read_names: set[str] = set()
    used: set[tuple[Owners, str]] = set()
    for read, difference in sorted(
        candidates, key=lambda pair: (pair[0].name != pair[1].reference.name, pair[1].relative)
    ):
        reference = difference.reference.owners, difference.reference.name
        if read.name not in read_names and reference not in used:
            read_names.add(read.name)
            used.add(reference)
            yield read, difference


def _by_owners(reads: Iterable[WeightRead]) -> dict[tuple[str, ...], Sequence[WeightRead]]:
    owners: dict[tuple[str, ...], dict[str, WeightRead]] = {}
    for read in reads:
        owners.setdefault(read.owners, {}).setdefault(read.name, read)
    return {paths: list(names.values()) for paths, names in owners.items()}


@np.errstate(over="ignore", invalid="ignore")  # a mask holds numbers whose square is infinite
def _difference(reference: ReferenceWeight, exact: Array, weight: WeightNumbers) -> _Difference:
    """The difference of a weight: number by number, else, in another order, of sorted numbers."""
    if np.array_equal(exact, weight.array):
        return _Difference(reference, 0.0, None if weight.step is None else 0.0, 0.0, True, False)
    exact = exact.astype(np.float32)
    norm = float(np.linalg.norm(exact)) or 1.0
    ordered = min(_orders(exact, weight.array), key=lambda a: _distance(a, weight.array))
    relative = _distance(ordered, weight.array) / norm
    in_order = relative < SAME_VALUE_DISTANCE or exact.ndim <= 1
    same_numbers = False
    if not in_order:
        sorted_pair = np.sort(ordered, axis=None), np.sort(weight.array, axis=None)
        most = None if weight.step is None else np.max(weight.step)
        over, steps = _beyond_rounding(*sorted_pair, most, None)
        same_numbers = not over.any()
    if in_order or same_numbers:
        over, steps = _beyond_rounding(ordered, weight.array, weight.step, weight.at_edge)
    excess = float(np.linalg.norm(over)) / norm
    return _Difference(reference, relative, steps, excess, in_order, same_numbers)


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
    """An array in each order of its axes that has the shape of another one, extents of 1 aside."""
    shape = tuple(extent for extent in actual.shape if extent != 1)
    squeezed = exact.reshape([extent for extent in exact.shape if extent != 1])
    fits = False
    if squeezed.ndim <= MOST_PERMUTED_AXES:
        for axes in itertools.permutations(range(squeezed.ndim)):
            if tuple(squeezed.shape[axis] for axis in axes) == shape:
                fits = True
                yield squeezed.transpose(axes).reshape(actual.shape)
    if not fits:
        yield exact.reshape(actual.shape)


def _distance(exact: Array, actual: Array) -> float:
    return float(np.linalg.norm(actual - exact))
