"""The paired and anchored nodes around an open node, and what they say about the recorded ops."""

from collections.abc import Callable, Iterable, Mapping

from modelexport.rewriter.matching.alignment.graph_pair import GraphPair
from modelexport.rewriter.matching.alignment.spans import Span
from modelexport.rewriter.matching.thresholds import MOST_NEIGHBOURHOOD_NODES


class PairedNeighbours:
    """Finds known nodes around open ones: *known* are those that are paired or anchored.

    Args:
        graphs: What is aligned.
        paired: The recorded op of each paired node.
        spans: The span of each paired node.
        anchored: Nodes that are paired with no op, with the ops that read their weights.
        done: Ops that paired nodes do completely.
    """

    def __init__(
        self,
        graphs: GraphPair,
        paired: Mapping[int, int],
        spans: Mapping[int, Span],
        anchored: Mapping[int, tuple[int, ...]],
        done: set[int],
    ) -> None:
        self._graphs = graphs
        self._file, self._record = graphs.file, graphs.record
        self._paired, self._spans, self._anchored = paired, spans, anchored
        self._done = done
        values = graphs.values
        self._exact = values is not None and values.rejects_mismatch

    def nearest_before(self, node: int) -> list[int]:
        """The first known nodes on all paths that lead to a node, see `_nearest`."""
        return self._nearest(node, self._file.predecessors)

    def nearest_behind(self, node: int) -> list[int]:
        """The first known nodes on all paths that lead away from a node, see `_nearest`."""
        return self._nearest(node, self._file.successors)

    def ops_before(self, node: int) -> Iterable[int]:
        """Recorded ops that are done when a paired or anchored node has run.

        In a quantised file an op is done in steps. After the step that reads the op's weights,
        everything that the op reads is done, but the op itself is not.
        """
        ops = (self._paired[node],) if node in self._paired else self._anchored[node]
        if self._exact or (node in self._paired and self._done.issuperset(ops)):
            return ops
        return self._read_by(ops)

    def ops_behind(self, node: int, starts: set[int]) -> Iterable[int]:
        """Recorded ops that remain to be done after a node, up to a paired or anchored node.

        If that node is the step that reads an op's weights, only what the op reads remains, unless
        it is done already.
        """
        ops = self.ops_of(node)
        if self._exact or node in self._spans:
            return ops
        before = self._read_by(ops) - starts
        return before or ops

    def ops_of(self, node: int) -> tuple[int, ...]:
        """The recorded ops of a node that is paired or anchored."""
        return self._spans[node].ops if node in self._spans else self._anchored[node]

    def follows_unknown_input(self, node: int) -> bool:
        """Whether a node follows an input that was not recorded, through open nodes only."""
        graph = self._file.graph
        unknown = graph.external_inputs - self._graphs.inputs.keys()
        pending = [node]
        visited = {node}
        for current in pending:
            if not unknown.isdisjoint(self._file.inputs(current)):
                return True
            for other in self._file.predecessors(current):
                if other not in visited and not self._is_known(other):
                    visited.add(other)
                    pending.append(other)
            if len(visited) > MOST_NEIGHBOURHOOD_NODES:
                break
        return False

    def _read_by(self, ops: Iterable[int]) -> set[int]:
        """Recorded ops whose results some ops read."""
        derived = self._record.graph.derived
        return {p for op in ops for p in self._record.predecessors(op) if not derived[p]}

    def _nearest(self, node: int, step: Callable[[int], Iterable[int]]) -> list[int]:
        """The first known nodes on all paths from a node in one direction.

        The search does not pass nodes that depend only on shapes and scales, because no computed
        value flows through them.
        """
        derived = self._file.graph.derived
        known: list[int] = []
        visited = {node}
        pending = [node]
        for current in pending:
            for other in step(current):
                if other in visited or derived[other]:
                    continue
                visited.add(other)
                (known if self._is_known(other) else pending).append(other)
            if len(visited) > MOST_NEIGHBOURHOOD_NODES:
                break
        return known

    def _is_known(self, node: int) -> bool:
        """Whether a node is paired or anchored."""
        return node in self._paired or node in self._anchored
