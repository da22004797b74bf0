"""Weights of modules that are called several times: the order of the calls pairs their readers.

Such a weight has several consumers, so it does not show which recorded op a node is. But if each
call depends on the one before it, the order shows it: the first consumer in the file is the first
one in the record.
"""

import itertools
from collections.abc import Iterator, Mapping

from modelexport.rewriter.graph.graph_view import GraphView
from modelexport.rewriter.matching.thresholds import MOST_CALL_SEARCH_STEPS


def pair_calls(
    file: GraphView,
    record: GraphView,
    weights: Mapping[int, frozenset[int]],
) -> Iterator[list[tuple[int, int]]]:
    """Pairs of the consumers of each weight that several calls read, in the order of the calls.

    Args:
        file: The graph of the file.
        record: The recorded graph.
        weights: Initializers of the file to the recorded initializers that they may be.
    """
    file_paths, record_paths = _PathSearch(file), _PathSearch(record)
    for value, candidates in weights.items():
        if len(candidates) != 1:
            continue
        nodes = sorted(file.consumers(value))
        ops = sorted(record.initializer_consumers.get(next(iter(candidates)), ()))
        several = len(nodes) == len(ops) > 1
        if several and file_paths.in_sequence(nodes) and record_paths.in_sequence(ops):
            yield list(zip(nodes, ops, strict=True))


class _PathSearch:
    """Finds whether nodes depend on each other."""

    def __init__(self, graph: GraphView) -> None:
        self._graph = graph
        self._steps_left = MOST_CALL_SEARCH_STEPS
        self._known: dict[tuple[int, int], bool] = {}

    def in_sequence(self, nodes: list[int]) -> bool:
        """Whether each node depends on the one before it."""
        return all(itertools.starmap(self._depends, itertools.pairwise(nodes)))

    def _depends(self, start: int, end: int) -> bool:
        if (start, end) not in self._known:
            self._known[start, end] = self._search(start, end)
        return self._known[start, end]

    def _search(self, start: int, end: int) -> bool:
        visited = {start}
        pending = [start]
        while pending and self._steps_left > 0:
            self._steps_left -= 1
            for successor in self._graph.successors(pending.pop()):
                if successor == end:
                    return True
                if successor < end and successor not in visited:
                    visited.add(successor)
                    pending.append(successor)
        return False
