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
    UNRELATED_DISTANCE,
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

_ORDERED_OTHERWISE = {"LSTM", "GRU", "RNN"}
"""Standard operators whose weights are those of torch in another order: that of the gates."""

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
        fits: Whether the shape says the order of the numbers, up to that of the axes.
    """

    reference: ReferenceWeight
    relative: float
    steps: float | None
    excess: float
    in_order: bool
    same_numbers: bool
    fits: bool


_Pairs = Sequence[tuple[WeightRead, _Difference]]


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
        tag: The tag of a module by its key; None for one that is not shown.
    """
    differences = list(_differences(reader, references, key))
    orders = {read.place for read, difference in differences if difference.in_order}
    changed = [
        (read, difference)
        for read, difference in differences
        if difference.excess > 0
        and (not difference.same_numbers or difference.fits or read.place in orders)
    ]
    if not _is_rounding(differences, changed):
        changed = [(read, difference) for read, difference in changed if difference.steps is None]
    return [
        ChangedWeight(
            *(shown_tag, read.name, match.reference.label, match.relative, read.reader, match.steps)
        )
        for read, match in _sorted(_once(changed))
        if (shown_tag := tag(_owner(reader, read, match, key))) is not None
    ]


def _once(changed: _Pairs) -> list[tuple[WeightRead, _Difference]]:
    """Each weight once, also if nodes of several modules read it: as the first node reads it."""
    first: dict[str, tuple[WeightRead, _Difference]] = {}
    for read, difference in sorted(changed, key=lambda pair: pair[0].reader):
        first.setdefault(read.name, (read, difference))
    return list(first.values())


def _sorted(changed: _Pairs) -> _Pairs:
    """The most changed first; copies of one parameter stand together, as the first of them."""
    excess: dict[object, float] = {}
    position: dict[object, int] = {}
    for read, difference in changed:
        parameter = difference.reference.parameter or read.name
        excess[parameter] = max(difference.excess, excess.get(parameter, 0.0))
        position[parameter] = min(read.reader, position.get(parameter, read.reader))

    def order(pair: tuple[WeightRead, _Difference]) -> tuple[float, int, int]:
        parameter = pair[1].reference.parameter or pair[0].name
        return -float(f"{excess[parameter]:.2e}"), position[parameter], pair[0].reader

    return sorted(changed, key=order)


def _owner(reader: WeightReader, read: WeightRead, difference: _Difference, key: Key) -> str:
    """Key of the module that a weight is of.

    That is the one whose parameter it is, but for a copy of a shared parameter the module that
    reads it. Where that is not known, it is the module with the largest weight of those that read
    it.
    """
    owners = [path for path in read.owners if key(path) in difference.reference.owners]
    path = max(owners or read.owners, key=reader.largest_weight)
    parameter = difference.reference.parameter
    owner = None if parameter is None else parameter[0]
    if read.parameter is not None:
        owner = key(read.parameter.rpartition(".")[0])
    is_copy = reader.has_weight(path, read.name) and reader.is_read_once(read.name)
    return key(path) if owner is None or is_copy else owner


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
    """Each weight of a module with the nearest one of the reference's module.

    A node may read the weight of a module inside its own, or of another one.
    """
    norms = {key(n.path): frozenset(map(key, n.before)) for n in find_norms(reader)}
    for owners, reads in _by_owners(reader.reads).items():
        own = references.of(frozenset(map(key, owners)), norms)
        pairs = list(_nearest(list(_candidates(reader, reads, own))))
        yield from pairs
        known = {read.name for read, _ in pairs}
        rest = [read for read in reads if read.name not in known]
        paths = {path for owner in owners for path in reader.inner_modules.get(owner, ())}
        paths |= {read.parameter.rpartition(".")[0] for read in rest if read.parameter is not None}
        others = references.inside(frozenset(map(key, paths)), norms)
        candidates = _candidates(reader, rest, others)
        yield from _nearest([pair for pair in candidates if _may_be_of_another(*pair, key)])


def _candidates(
    reader: WeightReader, reads: Sequence[WeightRead], weights: Sequence[ReferenceWeight]
) -> Iterator[tuple[WeightRead, _Difference]]:
    """Weights with all of the reference that they may be."""
    arrays = [(weight, array) for weight in weights if (array := weight.source()) is not None]
    for read in reads if arrays else ():
        if (numbers := reader.numbers(read)) is None:
            continue
        for weight, array in arrays:
            if 1 < array.size == numbers.array.size:
                yield read, _difference(weight, array, numbers, read.place[0])


def _may_be_of_another(read: WeightRead, difference: _Difference, key: Key) -> bool:
    """Whether a weight is one of a module for which its node does not work."""
    if read.parameter is not None:
        path, _, name = read.parameter.rpartition(".")
        return difference.reference.parameter == (key(path), name)
    return difference.same_numbers or difference.relative < UNRELATED_DISTANCE


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
def _difference(
    reference: ReferenceWeight, exact: Array, weight: WeightNumbers, operator: str
) -> _Difference:
    """The difference of a weight: number by number, else, in another order, of sorted numbers."""
    if np.array_equal(exact, weight.array):
        steps = None if weight.step is None else 0.0
        return _Difference(
            reference, 0.0, steps, 0.0, in_order=True, same_numbers=False, fits=True
        )
    exact = exact.astype(np.float32)
    norm = float(np.linalg.norm(exact)) or 1.0
    orders = list(_orders(exact, weight.array))
    fits = bool(orders) and operator not in _ORDERED_OTHERWISE and "::" not in operator
    orders = orders or [exact.reshape(weight.array.shape)]
    ordered = min(orders, key=lambda a: _distance(a, weight.array))
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
    return _Difference(reference, relative, steps, excess, in_order, same_numbers, fits)


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
