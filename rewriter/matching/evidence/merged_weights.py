"""Weights that were put together or taken apart: query, key and value in one, or one in three.

A merged weight is peeled: a recorded weight that lies at its edge is taken off, until nothing
is left. Of a split one the parts are laid together again: they are read by nodes that share
their other input.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from modelexport.hierarchy.fingerprints import Array
from modelexport.rewriter.graph.indexed_graph import IndexedGraph
from modelexport.rewriter.matching.evidence.weight_sketches import RecordedWeights

_MOST_PARTS = 4
"""Parts of one weight that are laid together in every order."""

_MOST_SIZES = 16
"""Sizes of recorded weights that are tried at an edge."""


def match_concatenated(array: Array, recorded: Mapping[int, RecordedWeights]) -> list[list[int]]:
    """The recorded weights that a merged one is made of, in their order; none when it is not.

    Args:
        array: The weight.
        recorded: Recorded weights by their number of elements.
    """
    if array.ndim != 2:
        return []
    for laid in (array.T, array):
        if found := _peeled(laid, recorded):
            return found
    return []


def _peeled(array: Array, recorded: Mapping[int, RecordedWeights]) -> list[list[int]]:
    """Take recorded weights off the first rows until none are left."""
    across = array.shape[1]
    sizes = [size for size in recorded if across and not size % across and size < array.size]
    found: list[list[int]] = []
    row = 0
    while row < len(array):
        for size in sizes[:_MOST_SIZES]:
            piece = array[row : row + size // across]
            labels = recorded[size].match([piece])[0].labels if piece.size == size else []
            if labels:
                found.append(labels)
                row += len(piece)
                break
        else:
            return []
    return found


def match_split(
    arrays: Mapping[int, Array], here: IndexedGraph, recorded: Mapping[int, RecordedWeights]
) -> Iterator[tuple[tuple[int, ...], list[int]]]:
    """Weights of a file that are the parts of one recorded weight, with what that may be.

    Args:
        arrays: Weights of the file that are no recorded ones, by their values.
        here: The file.
        recorded: Recorded weights by their number of elements.
    """
    done: set[int] = set()
    for group in _beside_each_other(arrays, here):
        for parts in _neighbours(group):
            if sum(arrays[value].size for value in parts) not in recorded or done & {*parts}:
                continue
            for order in itertools.permutations(parts):
                if labels := _together([arrays[value] for value in order], recorded):
                    done.update(parts)
                    yield parts, labels
                    break


def _beside_each_other(
    arrays: Mapping[int, Array], here: IndexedGraph
) -> Iterable[tuple[int, ...]]:
    """Weights that nodes read together with one and the same value."""
    beside: dict[int, dict[int, None]] = {}
    for value, array in arrays.items():
        for node in here.consumers[value] if array.ndim == 2 else ():
            for other in here.input_values(node):
                if other != value and not here.is_constant(other):
                    beside.setdefault(other, {})[value] = None
    return {tuple(group) for group in beside.values()}


def _neighbours(group: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The runs of some values that may be the parts of one, the longest first."""
    for length in range(min(len(group), _MOST_PARTS), 1, -1):
        for start in range(len(group) - length + 1):
            yield group[start : start + length]


def _together(parts: list[Array], recorded: Mapping[int, RecordedWeights]) -> list[int]:
    for axis in (0, 1):
        if len({part.shape[1 - axis] for part in parts}) == 1:
            whole = np.concatenate(parts, axis=axis)
            if labels := recorded[whole.size].match([whole])[0].labels:
                return labels
    return []
