"""Weights that a tool concatenated or split: query, key and value in one matrix, or one in three.

Their biases are concatenated too: a vector is peeled like a matrix of one column.

A concatenated weight is peeled: a recorded weight that lies at its edge is taken off, until
nothing is left. The parts of a split weight are concatenated again: they are read by nodes that
share their other input.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.record import Tensor
from modelexport.hierarchy.sketches import PROJECTIONS
from modelexport.rewriter.graph.indexed_graph import IndexedGraph
from modelexport.rewriter.matching.evidence.weight_sketches import RecordedWeights
from modelexport.rewriter.matching.thresholds import MOST_PART_SIZES, MOST_SPLIT_PARTS

WeightsBySize = Mapping[int, RecordedWeights]
"""Recorded weights by their number of elements."""


def group_by_size(tensors: Mapping[int, Tensor]) -> dict[int, RecordedWeights]:
    """The recorded weights that have a sketch, by their number of elements."""
    groups: dict[int, tuple[list[int], list[Tensor]]] = defaultdict(lambda: ([], []))
    for label, tensor in tensors.items():
        if tensor.weight is not None and tensor.weight.sketch:
            labels, weights = groups[tensor.weight.count]
            labels.append(label)
            weights.append(tensor)
    return {size: RecordedWeights(*group) for size, group in groups.items()}


def match_concatenated(array: Array, recorded: WeightsBySize) -> list[list[int]]:
    """The recorded weights that a concatenated one is made of.

    Args:
        array: A weight of the file.
        recorded: The recorded weights.

    Returns:
        For each part, in their order, the labels of the recorded weights that it may be. Empty
        when the weight is not a matrix or a vector made of recorded ones.
    """
    if array.ndim == 1:
        return _peel_rows(array[:, np.newaxis], recorded, varied=True)
    if array.ndim != 2:
        return []
    return _peel_rows(array.T, recorded) or _peel_rows(array, recorded)


def _peel_rows(array: Array, recorded: WeightsBySize, *, varied: bool = False) -> list[list[int]]:
    """Take recorded weights off the first rows until none are left.

    Args:
        array: A matrix.
        recorded: The recorded weights.
        varied: Take only pieces that hold different numbers: all pieces of equal numbers have the
            same direction. Pieces with few numbers must equal a recorded weight exactly: with no
            more numbers than projections, many weights have the same direction.
    """
    columns = array.shape[1]
    sizes = [size for size in recorded if columns and not size % columns and size < array.size]
    parts: list[list[int]] = []
    row = 0
    while row < len(array):
        for size in sizes[:MOST_PART_SIZES]:
            piece = array[row : row + size // columns]
            if piece.size != size or (varied and piece.min() == piece.max()):
                continue
            candidates = recorded[size].match([piece])[0]
            telling = candidates.exact or piece.size > PROJECTIONS or not varied
            if candidates.labels and telling:
                parts.append(candidates.labels)
                row += len(piece)
                break
        else:
            return []
    return parts


def match_split(
    arrays: Mapping[int, Array], graph: IndexedGraph, recorded: WeightsBySize
) -> Iterator[tuple[tuple[int, ...], list[int]]]:
    """Weights of a file that are the parts of one recorded weight.

    Args:
        arrays: Weights of the file that are not recorded, by their values.
        graph: The file.
        recorded: The recorded weights.

    Yields:
        The values of the parts, and the labels of the recorded weights that the whole may be.
    """
    done: set[int] = set()
    for group in _weights_read_together(arrays, graph):
        for parts in _runs(group):
            if sum(arrays[value].size for value in parts) not in recorded or done & {*parts}:
                continue
            for order in itertools.permutations(parts):
                if labels := _match_whole([arrays[value] for value in order], recorded):
                    done.update(parts)
                    yield parts, labels
                    break


def _weights_read_together(
    arrays: Mapping[int, Array], graph: IndexedGraph
) -> Iterable[tuple[int, ...]]:
    """Groups of matrices that nodes read together with the same computed value."""
    groups: dict[int, dict[int, None]] = {}
    for value, array in arrays.items():
        for node in graph.consumers[value] if array.ndim == 2 else ():
            for other in graph.input_values(node):
                if other != value and not graph.is_constant(other):
                    groups.setdefault(other, {})[value] = None
    return {tuple(group) for group in groups.values()}


def _runs(group: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Neighbouring weights of a group that may be the parts of one, the longest runs first."""
    for length in range(min(len(group), MOST_SPLIT_PARTS), 1, -1):
        for start in range(len(group) - length + 1):
            yield group[start : start + length]


def _match_whole(parts: list[Array], recorded: WeightsBySize) -> list[int]:
    """Labels of the recorded weights that parts may be when concatenated in this order."""
    for axis in (0, 1):
        if len({part.shape[1 - axis] for part in parts}) == 1:
            whole = np.concatenate(parts, axis=axis)
            if labels := recorded[whole.size].match([whole])[0].labels:
                return labels
    return []
