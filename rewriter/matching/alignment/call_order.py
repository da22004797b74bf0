"""Weights that are read several times: by a module that is called again and again.

Such a weight does not tell which recorded op a node is that reads it. But where the calls follow
from each other, their order does: the first reader is the first recorded one.
"""

import itertools
from collections.abc import Iterator, Mapping

from modelexport.rewriter.graph.graph_view import GraphView

_MOST_LOOKED_AT = 20_000
"""Nodes, for all weights together: the way from one call to the next is short."""


def calls_in_order(
    here: GraphView,
    there: GraphView,
    held: Mapping[int, frozenset[int]],
    recorded: Mapping[int, list[int]],
) -> Iterator[list[tuple[int, int]]]:
    """The readers of each weight of several calls, with the recorded ones.

    Args:
        here: The file.
        there: The record.
        held: Parameters of the file to the recorded weights that they may be.
        recorded: Recorded ops that read each recorded weight.
    """
    ways, recorded_ways = _Ways(here), _Ways(there)
    for value, labels in held.items():
        if len(labels) != 1:
            continue
        nodes, ops = sorted(here.consumers(value)), sorted(recorded.get(next(iter(labels)), ()))
        several = len(nodes) == len(ops) > 1
        if several and ways.follow(nodes) and recorded_ways.follow(ops):
            yield list(zip(nodes, ops, strict=True))


class _Ways:
    """Finds whether one node follows from another."""

    def __init__(self, graph: GraphView) -> None:
        self._graph = graph
        self._left = _MOST_LOOKED_AT
        self._known: dict[tuple[int, int], bool] = {}

    def follow(self, nodes: list[int]) -> bool:
        """Whether each node depends on the one before it."""
        return all(itertools.starmap(self._leads, itertools.pairwise(nodes)))

    def _leads(self, start: int, end: int) -> bool:
        if (start, end) not in self._known:
            self._known[start, end] = self._search(start, end)
        return self._known[start, end]

    def _search(self, start: int, end: int) -> bool:
        seen = {start}
        waiting = [start]
        while waiting and self._left > 0:
            self._left -= 1
            for reader in self._graph.successors(waiting.pop()):
                if reader == end:
                    return True
                if reader < end and reader not in seen:
                    seen.add(reader)
                    waiting.append(reader)
        return False
