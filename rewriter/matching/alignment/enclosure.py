"""Nodes that are no recorded op: they get the ops that their paired neighbours enclose.

An exporter or an optimiser makes nodes that the record does not have: a step of a decomposed op,
a rescaling, a fused op whose result is new. Such a node lies on paths between paired nodes. Its
origins are among the recorded ops on the paths between the ops of these nodes.

A related model has modules that the record does not have: an adapter, another head. Their nodes
stand for no recorded op. Such a node was inserted between two recorded ops, so it belongs to the
module that contains both.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from modelexport.rewriter.graph.operators import returns_unscaled_sums
from modelexport.rewriter.matching.alignment.graph_pair import GraphPair
from modelexport.rewriter.matching.alignment.narrowing import RegionNarrower
from modelexport.rewriter.matching.alignment.paired_neighbours import PairedNeighbours
from modelexport.rewriter.matching.alignment.regions import last_ops, region_between
from modelexport.rewriter.matching.alignment.spans import Span

_NOT_RECORDED = "the recorded model has no such node"
_NOT_RECORDED_INPUT = "it follows an input of the file that was not recorded"


class Enclosed(NamedTuple):
    """The recorded ops around a node that is no recorded op.

    Attributes:
        ops: The recorded ops that it may stand for; empty when nothing encloses it.
        reason: Why there are none.
        between: For a node of no recorded module, the recorded ops between which it stands.
    """

    ops: tuple[int, ...]
    reason: str = ""
    between: tuple[int, ...] = ()

    @property
    def is_new(self) -> bool:
        """Whether the record does not have the module of the node."""
        return self.reason == _NOT_RECORDED


class Enclosure:
    """Finds what encloses open nodes, once an alignment has grown.

    Args:
        graphs: What is aligned.
        paired: The recorded op of each paired node.
        spans: The span of each paired node.
        anchored: Nodes that are paired with no op, with the ops that read their weights.
        merged_from: Initializers of the file to the recorded initializers of which they consist.
    """

    def __init__(
        self,
        graphs: GraphPair,
        paired: Mapping[int, int],
        spans: Mapping[int, Span],
        anchored: Mapping[int, tuple[int, ...]],
        merged_from: Mapping[int, frozenset[int]],
    ) -> None:
        self._graphs = graphs
        self._file, self._record = graphs.file, graphs.record
        self._paired = paired
        values = graphs.values
        self._exact = values is not None and values.rejects_mismatch
        self._anchored = anchored
        self._live = graphs.file.graph.live_nodes()
        self._done = {
            op for node, span in spans.items() for op in span.ops if self._does_all(node, span)
        }
        self._neighbours = PairedNeighbours(graphs, paired, spans, anchored, self._done)
        self._begun = {op for ops in anchored.values() for op in ops}
        for node, span in spans.items():
            weights = graphs.initializers_of(node)
            self._begun.update(op for op in span.ops if weights & set(self._record.inputs(op)))
        self._narrower = RegionNarrower(graphs, paired, merged_from, self._done, self._begun)

    def enclose(self, nodes: Iterable[int]) -> dict[int, Enclosed]:
        """The recorded ops that each node may stand for.

        Args:
            nodes: The open nodes, in the order in which they run.
        """
        enclosed: dict[int, Enclosed] = {}
        for node in nodes:
            if node in self._live:
                enclosed[node] = self._by_paths(node, enclosed)
            else:
                enclosed[node] = self._dead(node, enclosed)
        return enclosed

    def _does_all(self, node: int, span: Span) -> bool:
        """Whether a node does its recorded ops completely, so that no other node can do a part."""
        return span.closed or self._graphs.same_op_type(node, span.ops[0])

    def _dead(self, node: int, enclosed: Mapping[int, Enclosed]) -> Enclosed:
        """For a node whose result no output needs: the recorded ops of its predecessors."""
        twin = self._twin(node)
        if twin is not None:
            return Enclosed((twin,))
        derived = self._file.graph.derived
        predecessors = [n for n in self._file.predecessors(node) if not derived[n]]
        spans = [enclosed[n].ops if n in enclosed else () for n in predecessors]
        if not spans or not all(spans):
            return Enclosed((), "no output needs its result, so nothing tells where it belongs")
        return Enclosed(tuple(sorted({op for ops in spans for op in ops})))

    def _twin(self, node: int) -> int | None:
        """The recorded op with the same operator and inputs: a tool may duplicate a node."""
        predecessors = self._file.predecessors(node)
        twins = {
            op
            for predecessor in predecessors
            if predecessor in self._paired
            for op in self._record.successors(self._paired[predecessor])
            if self._graphs.same_op_type(node, op)
        }
        return twins.pop() if len(twins) == 1 else None

    def _by_paths(self, node: int, enclosed: Mapping[int, Enclosed]) -> Enclosed:
        scaled = self._scaled_ops(node, enclosed) or self._split_ops(node)
        if scaled:
            return Enclosed(scaled)
        after = self._neighbours.nearest_behind(node)
        if self._is_new(node, enclosed):
            return self._between(after)
        before = self._neighbours.nearest_before(node)
        starts = {op for other in before for op in self._neighbours.ops_before(other)}
        ends = {op for other in after for op in self._neighbours.ops_behind(other, starts)}
        if not after:
            ends = self._narrower.ops_right_behind(node, starts) or last_ops(self._record, starts)
        if not ends:
            return Enclosed((), "no matched node uses its result")
        region = region_between(self._record, starts, ends)
        if not starts and self._neighbours.follows_unknown_input(node):
            return self._before(node, region or set(), ends)
        if region is None:
            return Enclosed((), "its matched neighbours enclose too much of the model")
        ops = self._narrower.narrow(node, region, starts, ends)
        guessed = self._graphs.has_diverged(node) and not self._is_told(node, region, ops)
        if guessed and (not after or self._done.issuperset(ops)):
            return self._between(after)
        return Enclosed(tuple(sorted(ops)))

    def _before(self, node: int, region: set[int], ends: set[int]) -> Enclosed:
        """For a node after an input that was not recorded, and without a paired node before it.

        It is an op that reads its weights; or the only free op of its operator right before the
        ends. The region itself says nothing, because it reaches back to the beginning of the model.
        """
        by_weight = self._narrower.ops_reading_its_weights(node, region)
        if by_weight:
            return Enclosed(tuple(sorted(by_weight)))
        producers = {p for op in ends for p in self._record.predecessors(op)} - ends - self._done
        same_type = [op for op in producers if self._graphs.same_op_type(node, op)]
        if len(same_type) == 1:
            return Enclosed((same_type[0],))
        return Enclosed((), _NOT_RECORDED_INPUT)

    def _is_told(self, node: int, region: set[int], ops: Collection[int]) -> bool:
        """Whether weights, values or a unique operator show which ops of a region a node is.

        If the file is a related model, the rest of a region would be a guess.
        """
        if self._narrower.ops_reading_its_weights(node, region) or any(
            self._narrower.agrees(node, op) for op in ops
        ):
            return True
        initializers = self._record.graph.initializers
        return len(ops) == 1 and all(
            self._graphs.same_op_type(node, op) and initializers.isdisjoint(self._record.inputs(op))
            for op in ops
        )

    def _is_new(self, node: int, enclosed: Mapping[int, Enclosed]) -> bool:
        """Whether a node belongs to a module that the record lacks, or adds the results of one."""
        if node in self._graphs.new_nodes:
            return True
        if self._graphs.reads_telling_weight(node):
            return False
        return any(
            other in self._graphs.new_nodes or (other in enclosed and enclosed[other].is_new)
            for other in self._file.predecessors(node)
        )

    def _between(self, after: Iterable[int]) -> Enclosed:
        """The recorded ops between which a new node was inserted.

        These are the ops of the nodes after it, and the ops whose results these nodes read in the
        record but not in the file.
        """
        ops: set[int] = set()
        for other in after:
            inside = set(self._neighbours.ops_of(other))
            done = {self._paired.get(p) for p in self._file.predecessors(other)}
            producers = {p for op in inside for p in self._record.predecessors(op)} - inside
            derived = self._record.graph.derived
            ops |= inside | {p for p in producers if p not in done and not derived[p]}
        return Enclosed((), _NOT_RECORDED, tuple(sorted(ops)))

    def _scaled_ops(self, node: int, enclosed: Mapping[int, Enclosed]) -> tuple[int, ...]:
        """For a node that only scales unscaled sums: the ops of the node that returns the sums."""
        types = self._file.graph.op_types
        ops: set[int] = set()
        for other in self._file.predecessors(node):
            if not returns_unscaled_sums(types[other]):
                continue
            if other in self._paired or other in self._anchored:
                ops.update(self._neighbours.ops_of(other))
            elif other in enclosed:
                ops.update(enclosed[other].ops)
        return tuple(sorted(ops))

    def _split_ops(self, node: int) -> tuple[int, ...]:
        """For a node that splits the result of one node: the ops whose joined results it splits.

        With exact values this is not needed, because values show it better.
        """
        if self._exact or self._file.graph.op_types[node] != "Split":
            return ()
        before = [other for other in self._file.predecessors(node) if other in self._anchored]
        ops = self._anchored[before[0]] if len(before) == 1 else ()
        return ops if len(ops) > 1 else ()
