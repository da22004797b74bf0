"""Matching weights by their numbers if names do not help: whole, concatenated or split."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from modelexport.hierarchy.fingerprints import Array
from modelexport.rewriter.graph.indexed_graph import IndexedGraph
from modelexport.rewriter.matching.evidence.merged_weights import (
    WeightsBySize,
    match_concatenated,
    match_split,
)
from modelexport.rewriter.matching.thresholds import ROUNDED_DIRECTION

Candidates = dict[int, frozenset[int]]
"""Weights of the file (values of its graph) to labels of recorded weights."""


@dataclass(frozen=True)
class ContentMatch:
    """Weights matched by their numbers.

    Attributes:
        candidates: Those that are matched.
        exact: Those of them that hold the very numbers of a recorded weight.
        unmatched: The numbers of those that are not.
    """

    candidates: Candidates
    exact: set[int]
    unmatched: dict[int, Array]


def match_contents(arrays: Mapping[int, Array], recorded: WeightsBySize) -> ContentMatch:
    """Compare weights with all recorded ones of their size."""
    by_size: dict[int, list[int]] = defaultdict(list)
    for value, array in arrays.items():
        by_size[array.size].append(value)
    candidates: Candidates = {}
    exact: set[int] = set()
    unmatched: dict[int, Array] = {}
    for size, values in by_size.items():
        if size not in recorded:
            unmatched.update((value, arrays[value]) for value in values)
            continue
        matches = recorded[size].match([arrays[value] for value in values])
        for value, match in zip(values, matches, strict=True):
            if match.labels:
                candidates[value] = frozenset(match.labels)
            else:
                unmatched[value] = arrays[value]
            if match.exact:
                exact.add(value)
    return ContentMatch(candidates, exact, unmatched)


def match_rounded(
    arrays: Mapping[int, Array], used: Collection[int], recorded: WeightsBySize
) -> Candidates:
    """Weights that rounding has changed more, matched with the recorded ones that are left.

    Args:
        arrays: Weights of the file that are stored in whole numbers and are not matched.
        used: Recorded weights that others of the file may be.
        recorded: The recorded weights.
    """
    candidates: Candidates = {}
    used_labels = frozenset(used)
    claims = Counter[int]()
    for value, array in arrays.items():
        if array.size not in recorded or array.ndim == 1:
            continue
        (match,) = recorded[array.size].match([array], ROUNDED_DIRECTION)
        if match.labels and used_labels.isdisjoint(match.labels):
            candidates[value] = frozenset(match.labels)
            claims.update(match.labels)
    return {
        value: labels
        for value, labels in candidates.items()
        if all(claims[label] == 1 for label in labels)
    }


def match_merged(arrays: Mapping[int, Array], recorded: WeightsBySize) -> Candidates:
    """Weights that are concatenated of recorded ones, to these."""
    merged = {}
    for value, array in arrays.items():
        parts = match_concatenated(array, recorded)
        if parts and all(len(labels) == 1 for labels in parts):
            merged[value] = frozenset(label for labels in parts for label in labels)
    return merged


def match_parts(
    arrays: Mapping[int, Array],
    merged: Collection[int],
    graph: IndexedGraph,
    recorded: WeightsBySize,
) -> Candidates:
    """Weights that are parts of recorded ones, to these.

    Args:
        arrays: Weights of the file that are not recorded as they are.
        merged: Those of them that are concatenated of recorded ones.
        graph: The file.
        recorded: The recorded weights.
    """
    others = {value: array for value, array in arrays.items() if value not in merged}
    return {
        value: frozenset(labels)
        for parts, labels in match_split(others, graph, recorded)
        for value in parts
    }
