"""Which weights of a file are not those of its reference, and more than rounded.

A file of fewer bits has other numbers everywhere, but each of them is the nearest that it can
store. A weight that is further away was changed. If most weights are, the quantiser did not round
to the nearest number, and nothing follows from it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from modelexport.rewriter.comparison.thresholds import (
    MOST_CHANGED_MODULES,
    UNRELATED_DISTANCE,
)
from modelexport.rewriter.comparison.weights.file_norms import find_norms
from modelexport.rewriter.comparison.weights.reference_weights import (
    Owners,
    ReferenceWeight,
    ReferenceWeights,
)
from modelexport.rewriter.comparison.weights.results import ChangedWeight
from modelexport.rewriter.comparison.weights.weight_difference import (
    WeightDifference,
    vector_like,
    weight_difference,
)
from modelexport.rewriter.comparison.weights.weight_numbers import WeightRead, WeightReader

Key = Callable[[str], str]
"""The key of a module by its path in the file; the reference has the same keys."""


_Pairs = Sequence[tuple[WeightRead, WeightDifference]]


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


def _once(changed: _Pairs) -> list[tuple[WeightRead, WeightDifference]]:
    """Each weight once, also if nodes of several modules read it: as the first node reads it."""
    first: dict[str, tuple[WeightRead, WeightDifference]] = {}
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

    def order(pair: tuple[WeightRead, WeightDifference]) -> tuple[float, int, int]:
        parameter = pair[1].reference.parameter or pair[0].name
        return -float(f"{excess[parameter]:.2e}"), position[parameter], pair[0].reader

    return sorted(changed, key=order)


def _owner(reader: WeightReader, read: WeightRead, difference: WeightDifference, key: Key) -> str:
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
) -> Iterator[tuple[WeightRead, WeightDifference]]:
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
) -> Iterator[tuple[WeightRead, WeightDifference]]:
    """Weights with all of the reference that they may be."""
    arrays = [(weight, array) for weight in weights if (array := weight.source()) is not None]
    for read in reads if arrays else ():
        if (numbers := reader.numbers(read)) is None:
            continue
        for weight, array in arrays:
            if not 1 < array.size == numbers.array.size:
                continue
            difference = weight_difference(weight, array, numbers, read.place[0])
            if vector_like(array) == vector_like(numbers.array) or _is_related(difference):
                yield read, difference


def _is_related(difference: WeightDifference) -> bool:
    """Whether the numbers say by themselves that two weights are one, changed perhaps."""
    return difference.same_numbers or difference.relative < UNRELATED_DISTANCE


def _may_be_of_another(read: WeightRead, difference: WeightDifference, key: Key) -> bool:
    """Whether a weight is one of a module for which its node does not work."""
    if read.parameter is not None:
        path, _, name = read.parameter.rpartition(".")
        return difference.reference.parameter == (key(path), name)
    return _is_related(difference)


def _nearest(
    candidates: Sequence[tuple[WeightRead, WeightDifference]],
) -> Iterator[tuple[WeightRead, WeightDifference]]:
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
