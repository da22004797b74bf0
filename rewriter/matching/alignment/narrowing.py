"""Narrowing the ops of a region for which a node may stand that is no recorded op."""

from collections.abc import Collection, Mapping

from modelexport.rewriter.matching.alignment.graph_pair import GraphPair
from modelexport.rewriter.matching.thresholds import COMPLETION_FACTOR, NEAR_SKETCH


class RegionNarrower:
    """Narrows regions of the recorded graph.

    Args:
        graphs: What is aligned.
        paired: The recorded op of each paired node.
        merged_from: Initializers of the file to the recorded initializers of which they consist.
        done: Ops that paired nodes do completely.
        begun: Ops whose weights paired or anchored nodes read.
    """

    def __init__(
        self,
        graphs: GraphPair,
        paired: Mapping[int, int],
        merged_from: Mapping[int, frozenset[int]],
        done: Collection[int],
        begun: Collection[int],
    ) -> None:
        self._graphs = graphs
        self._file, self._record = graphs.file, graphs.record
        self._paired = paired
        self._merged_from = merged_from
        self._done = done
        self._begun = begun

    def narrow(
        self, node: int, region: set[int], starts: set[int], ends: set[int]
    ) -> Collection[int]:
        """The ops of a region that the node can stand for.

        The first of these rules that finds ops decides. 1. Ops that read the node's weights. 2. Ops
        that compute what the node computes; or several ops whose joined results it splits. 3. Ops
        that no other node does completely: first those whose weights no other node reads; of these,
        the only one with the node's operator, if there is one. 4. If other nodes do the whole
        region, the node stands between two ops and may belong to either. Here, too, a unique
        operator decides.
        """
        by_weight = self.ops_reading_its_weights(node, region)
        if by_weight:
            return by_weight
        agreeing = {op for op in region | starts if self.agrees(node, op)}
        if len(agreeing) == 1 or (agreeing and agreeing <= starts):
            return agreeing
        free = [op for op in region if op not in self._done]
        if not free:
            either = starts | (ends & region)
            return self._completed(node, either) or self._of_its_operator(node, either) or either
        completed = self._completed(node, free)
        if completed:
            return completed
        free = [op for op in free if op not in self._begun] or free
        return self._of_its_operator(node, free) or free

    def _of_its_operator(self, node: int, ops: Collection[int]) -> list[int]:
        """The one of some ops that has the operator of a node."""
        same_type = [op for op in ops if self._graphs.same_op_type(node, op)]
        return same_type if len(same_type) == 1 else []

    def _completed(self, node: int, ops: Collection[int]) -> list[int]:
        """In a quantised file, the only op whose result is near to the node's result.

        The node must be much nearer to this result than to those of other ops. If no node before it
        does a step of the op, its result must also be much nearer than what it reads.
        """
        values = self._graphs.values
        quantised = None if values is None else values.quantised
        if quantised is None:
            return []
        by_op = {op: quantised.distance(node, op) for op in ops}
        distances = {op: distance for op, distance in by_op.items() if distance is not None}
        if not distances:
            return []
        op = min(distances, key=lambda other: distances[other])
        others = [distance for other, distance in distances.items() if other != op]
        predecessors = self._file.predecessors(node)
        if all(self._paired.get(other) != op for other in predecessors):
            read = (quantised.distance(other, op) for other in predecessors)
            others += [distance for distance in read if distance is not None]
        nearest = distances[op]
        is_clear = all(other > COMPLETION_FACTOR * nearest for other in others)
        return [op] if nearest <= NEAR_SKETCH and is_clear else []

    def agrees(self, node: int, op: int) -> bool:
        """Whether a node computes what a recorded op computes, where values are exact."""
        values = self._graphs.values
        return (
            values is not None and values.rejects_mismatch and values.compatible(node, op) is True
        )

    def ops_reading_its_weights(self, node: int, region: set[int]) -> list[int]:
        """The ops of a region that read a weight which a node reads."""
        weights = self._graphs.initializers_of(node)
        for value in self._file.inputs(node):
            weights |= self._merged_from.get(value, frozenset())
        return [op for op in region if weights & set(self._record.inputs(op))]

    def ops_right_behind(self, node: int, starts: Collection[int]) -> set[int]:
        """The free ops of a node's operator that read results of some ops.

        If no paired node follows, the file may have been cut, and the region would reach to the end
        of the model. In a quantised file operators are done in steps, so there are none.
        """
        values = self._graphs.values
        if values is not None and not values.rejects_mismatch:
            return set()
        behind = {op for start in starts for op in self._record.successors(start)}
        return {op for op in behind if op not in self._done and self._graphs.same_op_type(node, op)}
