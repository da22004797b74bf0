"""The values that modules read in both files, paired where nothing else has paired them.

A module also reads what nodes of the module around it compute: that leaves no module.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from modelexport.rewriter.comparison.differences import measure_errors
from modelexport.rewriter.comparison.quantisation.examined_file import ExaminedFile
from modelexport.rewriter.comparison.quantisation.module_groups import Group
from modelexport.rewriter.comparison.thresholds import SAME_VALUE_DISTANCE
from modelexport.rewriter.matching import Claim


def pair_read_values(
    reference: ExaminedFile, quantised: ExaminedFile, pairs: Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    """More pairs of values of one size that the same module reads.

    They have the same name, and nodes of one operator and module compute them; or their numbers are
    near to each other. The name is needed because an error may be so large that the two values are
    far apart.

    Args:
        reference: The float file.
        quantised: The quantised file.
        pairs: The pairs that there are, by their names in both files.
    """
    pairs = list(pairs)
    paired = {a for a, _ in pairs}, {b for _, b in pairs}
    left, right = (
        {
            group: [name for name in names if name not in names_in_pairs]
            for group, names in file.groups.read_values().items()
        }
        for file, names_in_pairs in zip((reference, quantised), paired, strict=True)
    )
    shared = [group for group in left if left[group] and right.get(group)]
    values = tuple(
        file.values(list(dict.fromkeys(n for g in shared for n in names[g])))
        for file, names in ((reference, left), (quantised, right))
    )
    candidates = [
        (a, b)
        for group in shared
        for a in left[group]
        for b in right[group]
        if a in values[0] and b in values[1] and values[0][a].size == values[1][b].size
    ]
    named = [(a, b) for a, b in candidates if a == b and _same_source(reference, quantised, a)]
    used = {a for a, _ in named}, {b for _, b in named}
    distances = sorted(
        (measure_errors(values[0][a], values[1][b]).distance, a, b)
        for a, b in candidates
        if a not in used[0] and b not in used[1]
    )
    return [*dict.fromkeys(named), *_nearest(distances)]


def _same_source(reference: ExaminedFile, quantised: ExaminedFile, name: str) -> bool:
    """Whether nodes of one operator and module compute the values of one name in both files."""
    sources = [
        (file.groups.producer_group(name), graph.nodes[graph.producer[name]].op_type)
        for file in (reference, quantised)
        for graph in [file.groups.graph]
        if name in graph.producer
    ]
    return len(sources) == 2 and sources[0] == sources[1]


def with_keys_of(
    reference: ExaminedFile, quantised: ExaminedFile, pairs: Iterable[tuple[str, str]]
) -> ExaminedFile:
    """The quantised file, in which modules without nodes in the reference get keys that it has.

    The same node may stand in a module in one file, and for several in the module around them in
    the other. There a module has the key of those whose values it computes.

    Args:
        reference: The float file.
        quantised: The quantised file.
        pairs: Values that both have, by their names in both files.
    """
    counts = reference.groups.counts()
    keys: dict[str, str] = {}
    for a, b in pairs:
        left = reference.groups.producer_group(a)
        right = quantised.groups.producer_group(b)
        if left is not None and right is not None and right.key not in counts:
            keys.setdefault(right.key, left.key)

    def group(claim: Claim) -> Group:
        own = quantised.group(claim)
        return own._replace(key=keys.get(own.key, own.key))

    return replace(quantised, group=group) if keys else quantised


def _nearest(distances: Iterable[tuple[float, str, str]]) -> Iterator[tuple[str, str]]:
    """Each value with its nearest one, as far as that is near enough."""
    used: tuple[set[str], set[str]] = set(), set()
    for distance, a, b in distances:
        if distance < SAME_VALUE_DISTANCE and a not in used[0] and b not in used[1]:
            used[0].add(a)
            used[1].add(b)
            yield a, b
