"""Greedy expansion: from the pairs that are known, along the edges of both graphs.

See the package's docstring for the method. One round scores all open nodes that have a paired
neighbour. Those with a strong score are paired, and their neighbours make up the next round. When
a round pairs none, the nodes with a weak score are paired instead.
"""

from collections.abc import Iterable, Mapping

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.rewriter.graph.operators import are_both_reshaping
from modelexport.rewriter.matching.alignment.graph_pair import GraphPair
from modelexport.rewriter.matching.alignment.pairs import Pairs
from modelexport.rewriter.matching.alignment.scorer import NearbyOps, PairScorer, ScoredOp
from modelexport.rewriter.matching.alignment.spans import SpanFinder
from modelexport.rewriter.matching.thresholds import STRONG_SCORE

Candidates = Mapping[int, Mapping[int, float]]
"""Nodes to the recorded ops that compute their values, with the distance."""


class Aligner:
    """Grows pairs.

    Args:
        graphs: What is aligned.
        pairs: The seeds; what is found is added to them.
        candidates: Recorded ops that compute what a node computes. Such a node can only be one of
            these.
        nearby_ops: In a quantised file, recorded ops whose results are near to a node's.
        only: The nodes that may be paired; all by default.

    Attributes:
        spans: Finds the recorded ops of a pair.
        considered: The recorded ops that were scored for a node, as they were scored last.
        ambiguous: Nodes with candidates, the best of which score equally.
    """

    def __init__(
        self,
        graphs: GraphPair,
        pairs: Pairs,
        candidates: Candidates | None = None,
        nearby_ops: NearbyOps | None = None,
        only: set[int] | None = None,
    ) -> None:
        self.spans = SpanFinder(graphs, pairs.ops, pairs.spans)
        self.considered: dict[int, list[ScoredOp]] = {}
        self.ambiguous: dict[int, list[ScoredOp]] = {}
        self._graphs = graphs
        self._file, self._record = graphs.file, graphs.record
        self._pairs = pairs
        self._candidates = candidates or {}
        self._nearby_ops = nearby_ops or {}
        self._only = only
        self._scorer = PairScorer(graphs, pairs, self.spans, self._nearby_ops)

    def grow(self) -> None:
        """Pair what follows from the pairs, until nothing more does."""
        waiting = self._first_nodes()
        weak: set[int] = set()
        while waiting or weak:
            added = self._add_pairs(waiting, STRONG_SCORE, weak)
            if not added:
                added = self._add_pairs(set(weak), 0.0, weak)
                if not added:
                    break
            waiting = self._open_neighbours(added)
        for node in self._candidates:
            if node not in self._pairs and (best := self._best(node)):
                self.ambiguous[node] = best

    def _first_nodes(self) -> set[int]:
        """Nodes with a neighbour, weight or value that may decide about them."""
        if self._only is not None:
            return self._only
        nodes = self._open_neighbours(self._pairs.ops)
        nodes.update(self._candidates, self._nearby_ops)
        nodes.update(*(self._file.consumers(value) for value in self._graphs.inputs))
        return nodes

    def _neighbours(self, node: int) -> tuple[int, ...]:
        return (*self._file.predecessors(node), *self._file.successors(node))

    def _open_neighbours(self, nodes: Iterable[int]) -> set[int]:
        neighbours: set[int] = set()
        for node in nodes:
            neighbours.update(self._file.predecessors(node), self._file.successors(node))
        neighbours.difference_update(self._pairs.ops)
        return neighbours if self._only is None else neighbours & self._only

    def _add_pairs(self, nodes: set[int], above: float, weak: set[int]) -> list[int]:
        """Pair the nodes whose best op scores above a threshold; returns these nodes.

        Args:
            nodes: The nodes to look at.
            above: The threshold.
            weak: Nodes whose score is positive but not above it. They are added to this set, and
                wait there until the strong pairs have grown as far as they do.
        """
        added = []
        for node in sorted(node for node in nodes if node not in self._pairs):
            choice = self._choose(node)
            if choice is None:
                continue
            if choice.score > above:
                by_values = node in self._candidates
                evidence = EvidenceKind.VALUES if by_values else EvidenceKind.STRUCTURE
                self._pairs.add_pair(node, choice.op, evidence)
                added.append(node)
            else:
                weak.add(node)
        weak.difference_update(added)
        return added

    def _choose(self, node: int) -> ScoredOp | None:
        """The one recorded op that fits a node best; None when none does, or several do."""
        best = self._best(node)
        if not best or best[0].score <= 0:
            return None
        if len(best) > 1:
            best = [scored for scored in best if not self._fits_neighbour(node, scored.op)] or best
            if not any(self._graphs.same_op_type(node, scored.op) for scored in best):
                best = [s for s in best if self._scorer.completes(node, s.op)] or best
        if len(best) == 1:
            return best[0]
        free = [scored for scored in best if self._pairs.is_free(scored.op)]
        return free[0] if len(free) == 1 else None

    def _fits_neighbour(self, node: int, op: int) -> bool:
        """Whether a neighbour has the operator of a recorded op, unlike the node, and may be it."""
        if self._graphs.same_op_type(node, op):
            return False
        return any(
            self._graphs.same_op_type(other, op) and self._pairs.ops.get(other, op) == op
            for other in self._neighbours(node)
        )

    def _best(self, node: int) -> list[ScoredOp]:
        """The recorded ops with the highest score."""
        candidates, nearby = self._candidates.get(node), self._nearby_ops.get(node, {})
        ops: Iterable[int]
        if candidates is None:
            distances, ops = nearby, dict.fromkeys([*self._ops_nearby_in_graph(node), *nearby])
        else:
            distances, ops = candidates, candidates
        scored = [ScoredOp(op, self._scorer.score(node, op), distances.get(op)) for op in ops]
        if not scored:
            return []
        self.considered[node] = scored
        highest = max(candidate.score for candidate in scored)
        return [candidate for candidate in scored if candidate.score == highest]

    def _ops_nearby_in_graph(self, node: int) -> list[int]:
        """Eligible ops at the same place: next to the ops of the node's neighbours."""
        ops: dict[int, None] = {}
        paired, record = self._pairs.ops, self._record
        for predecessor in self._file.predecessors(node):
            if (op := paired.get(predecessor)) is not None:
                ops.update(dict.fromkeys(record.successors(op)))
        for successor in self._file.successors(node):
            if (op := paired.get(successor)) is not None:
                ops.update(dict.fromkeys(record.predecessors(op)))
        for value in self._file.inputs(node):
            if (recorded := self._graphs.inputs.get(value)) is not None:
                ops.update(dict.fromkeys(record.consumers(recorded)))
        return [op for op in ops if self._is_eligible(node, op)]

    def _is_eligible(self, node: int, op: int) -> bool:
        """Whether an op that stands at a node's place may be the node.

        It may if the node belongs to no new module, both have the same operator, no other node does
        the op's work, and values do not veto it. Torch's operators cannot be compared with ONNX's;
        with them, values and shapes must agree.
        """
        if node in self._graphs.new_nodes or not self._pairs.is_free(op):
            return False
        if self._record.graph.has_torch_op_types:
            values = self._graphs.values
            return (
                values is not None
                and values.compatible(node, op) is True
                and (values.same_shape(node, op))
            )
        return (
            (self._graphs.same_op_type(node, op) or self._is_same_reshaping(node, op))
            and self._graphs.compatible(node, op) is not False
            and self._has_place_for_new_inputs(node, op)
        )

    def _is_same_reshaping(self, node: int, op: int) -> bool:
        """Whether a node and an op both change the shape of one value between two paired nodes.

        One exporter writes Flatten where another writes Reshape. Both neighbours must be paired.
        """
        types = self._file.graph.op_types[node], self._record.graph.op_types[op]
        if not are_both_reshaping(*types):
            return False
        paired, file, record = self._pairs.ops, self._file, self._record
        before = {paired.get(other) for other in file.predecessors(node)}
        after = {paired.get(other) for other in file.successors(node)}
        return not (
            before.isdisjoint(record.predecessors(op)) or after.isdisjoint(record.successors(op))
        )

    def _has_place_for_new_inputs(self, node: int, op: int) -> bool:
        """Whether an op reads other values where a node reads results of a new module.

        A node that adds an adapter's result to a recorded value is no recorded op.
        """
        predecessors = self._file.predecessors(node)
        new = sum(other in self._graphs.new_nodes for other in predecessors)
        if not new:
            return True
        if self.spans.span(node, op).closed:
            return False
        explained = {self._pairs.ops.get(other) for other in predecessors}
        return len(set(self._record.predecessors(op)) - explained) >= new
