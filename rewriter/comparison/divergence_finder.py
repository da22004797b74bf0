"""Where two files begin to compute different numbers, and which pairs of values are wrong."""

from collections import deque
from collections.abc import Collection, Iterator, Sequence

from modelexport.rewriter.comparison.results import Deviation
from modelexport.rewriter.comparison.thresholds import AGREEMENT_DISTANCE, SAME_VALUE_DISTANCE
from modelexport.rewriter.comparison.value_pairing import Pair
from modelexport.rewriter.graph.model_graph import ModelGraph


class DivergenceFinder:
    """Follows divergence through the graph of the first file.

    Args:
        graph: The graph.
        pairs: The pairs of values.
        deviations: The errors of each pair.
    """

    def __init__(
        self, graph: ModelGraph, pairs: Sequence[Pair], deviations: Sequence[Deviation]
    ) -> None:
        self._graph = graph
        self._pairs = pairs
        self._deviations = deviations

    def mispairings(self) -> set[int]:
        """Numbers of the pairs whose values are not the same value.

        If a pair diverges while everything that is computed from it agrees, an operation was moved
        across the module's boundary.
        """
        pairs_at = self._pairs_at(())
        return {index for index in range(len(self._pairs)) if self._is_mispaired(index, pairs_at)}

    def beginnings(self, excluded: Collection[int]) -> set[int]:
        """Numbers of the pairs that diverge although no pair diverges from which they are computed.

        Args:
            excluded: Numbers of pairs that are treated as if they did not exist.
        """
        pairs_at = self._pairs_at(excluded)
        candidates = (index for indices in pairs_at.values() for index in indices)
        return {
            index
            for index in candidates
            if self._deviations[index].diverges
            and not any(
                self._deviations[before].diverges
                for before in self._nearest(index, self._graph.predecessors, pairs_at)
            )
        }

    def _pairs_at(self, excluded: Collection[int]) -> dict[int, list[int]]:
        """Numbers of the pairs that each node computes."""
        pairs_at: dict[int, list[int]] = {}
        for index, pair in enumerate(self._pairs):
            if index not in excluded:
                pairs_at.setdefault(pair.a.node, []).append(index)
        return pairs_at

    def _is_mispaired(self, index: int, pairs_at: dict[int, list[int]]) -> bool:
        value = self._deviations[index]
        if not value.diverges or value.paired_by == "output":
            return False
        after = [
            self._deviations[consumer]
            for consumer in self._nearest(index, self._graph.successors, pairs_at)
        ]
        if not after:
            return False
        if not any(consumer.diverges for consumer in after):
            return True
        is_far = (
            value.relative is None or value.relative > SAME_VALUE_DISTANCE or bool(value.unlike)
        )
        return is_far and all(
            consumer.relative is not None and consumer.relative < AGREEMENT_DISTANCE
            for consumer in after
        )

    def _nearest(
        self, index: int, neighbours: Sequence[Sequence[int]], pairs_at: dict[int, list[int]]
    ) -> Iterator[int]:
        """The pairs that are reached first from a pair, in one direction.

        Args:
            index: Number of the pair.
            neighbours: The nodes before each node, or those after it.
            pairs_at: Numbers of the pairs that each node computes.
        """
        start = self._pairs[index].a.node
        pending, visited = deque(neighbours[start]), {start}
        while pending:
            node = pending.popleft()
            if node in visited:
                continue
            visited.add(node)
            if node in pairs_at:
                yield from pairs_at[node]
            else:
                pending.extend(neighbours[node])
