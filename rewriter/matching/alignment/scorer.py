"""How well a node and a recorded op fit each other, judged by their neighbours.

The score of a pair is a sum:

- for each paired predecessor and successor of the node: +1 when its op is a direct neighbour of
  the op as well. Otherwise the node may be fused, and the span of the pair is compared: when the
  neighbour's op stands right before the span, 1 less 0.05 for each further op, but at least 0.5;
  when it does not, -1; when the span is not closed, so that it says little, -0.5. The span of a
  successor may be closed by the pair itself.
- for each input of the model that the node reads: +1 when the op reads the recorded one.
- for weights: +2 when both read a weight in common, -2 when they do not and should. Where the node
  computes exactly what the op computes, the weights of the whole span count.
- in a quantised file: +0.5 when the results are near each other, if the rest is above 0.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from modelexport.rewriter.graph.indexed_graph import NONE
from modelexport.rewriter.matching.alignment.graph_pair import GraphPair
from modelexport.rewriter.matching.alignment.pairs import Pairs
from modelexport.rewriter.matching.alignment.spans import Span, SpanFinder
from modelexport.rewriter.matching.thresholds import (
    COMMON_WEIGHT_SCORE,
    COMPLETION_FACTOR,
    MINIMUM_SPAN_SCORE,
    NEAR_VALUE_SCORE,
    OPEN_SPAN_SCORE,
    SPAN_MISMATCH_SCORE,
    SPAN_OP_DISCOUNT,
)

NearbyOps = Mapping[int, Mapping[int, float]]
"""Nodes to the recorded ops whose results are near to theirs, with the distance."""


@dataclass(frozen=True)
class ScoredOp:
    """A recorded op that a node may be.

    Attributes:
        op: The op.
        score: How well it fits the node.
        distance: Distance of their results, over the magnitude; None when it is not known.
    """

    op: int
    score: float
    distance: float | None = None


class PairScorer:
    """Scores pairs by the pairs that are found so far.

    Args:
        graphs: What is aligned.
        pairs: The pairs; more may be added between two calls.
        spans: Finds what fused nodes do.
        nearby_ops: In a quantised file, recorded ops whose results are near to a node's.
    """

    def __init__(
        self, graphs: GraphPair, pairs: Pairs, spans: SpanFinder, nearby_ops: NearbyOps
    ) -> None:
        self._graphs = graphs
        self._ops = pairs.ops
        self._spans = spans
        self._nearby_ops = nearby_ops
        self._producers: dict[int, frozenset[int]] = {}
        self._recorded_weights: dict[int, frozenset[int]] = {}

    def score(self, node: int, op: int) -> float:
        """The score of a pair; see the module's docstring."""
        score = 0.0
        for vote in self._neighbour_votes(node, op):
            score += vote
        score += self._input_score(node, op)
        score += self._weight_score(node, op)
        near = op in self._nearby_ops.get(node, ())
        return score + NEAR_VALUE_SCORE if near and score > 0 else score

    def completes(self, node: int, op: int) -> bool:
        """Whether a node comes much nearer to a recorded op's result than the node before it.

        A quantised op is done in steps (multiply, rescale, add a bias), all paired with the op.
        Each step comes nearer to the op's result, and the last one completes it.
        """
        distance = self._nearby_ops.get(node, {}).get(op)
        values = self._graphs.values
        if distance is None or values is None or values.quantised is None:
            return False
        predecessors = self._graphs.file.predecessors(node)
        steps = [other for other in predecessors if self._ops.get(other) == op]
        before = [values.quantised.distance(other, op) for other in steps]
        return any(other is None or other > COMPLETION_FACTOR * distance for other in before)

    def _neighbour_votes(self, node: int, op: int) -> Iterator[float]:
        """The vote of each paired neighbour of a node, predecessors first."""
        producers = self._producers_of(op)
        is_near = op in self._nearby_ops.get(node, ())
        for predecessor in self._graphs.file.predecessors(node):
            other = self._ops.get(predecessor)
            if other is None:
                continue
            is_step = is_near and other == op
            confirmed = is_step or other in producers
            yield 1.0 if confirmed else _span_score(self._spans.span(node, op), other)
        for successor in self._graphs.file.successors(node):
            other = self._ops.get(successor)
            if other is None or other == op:
                continue
            confirmed = op in self._producers_of(other)
            yield 1.0 if confirmed else self._successor_score(successor, other, op)

    def _successor_score(self, successor: int, other: int, op: int) -> float:
        return _span_score(self._spans.span_behind(successor, other, op), op)

    def _input_score(self, node: int, op: int) -> float:
        recorded = self._graphs.record.inputs(op)
        inputs = (self._graphs.inputs.get(value) for value in self._graphs.file.inputs(node))
        return float(sum(value in recorded for value in inputs if value is not None))

    def _weight_score(self, node: int, op: int) -> float:
        weights = self._graphs.initializers_of(node)
        recorded = self._weights_of(op)
        if not recorded or not (weights or recorded & self._weights_in_file):
            return 0.0
        if not weights and self.completes(node, op):
            return 0.0
        if not weights & recorded and self._computes(node, op):
            recorded = recorded.union(*map(self._weights_of, self._spans.span(node, op).ops))
        return COMMON_WEIGHT_SCORE if weights & recorded else -COMMON_WEIGHT_SCORE

    def _computes(self, node: int, op: int) -> bool:
        """Whether a node computes what a recorded op computes, where values are exact."""
        values = self._graphs.values
        if values is None or not values.rejects_mismatch:
            return False
        return values.compatible(node, op) is True

    @cached_property
    def _weights_in_file(self) -> frozenset[int]:
        """Recorded weights that the file has, so that a node exists for each op that reads them."""
        return frozenset().union(*self._graphs.weights.values())

    def _weights_of(self, op: int) -> frozenset[int]:
        weights = self._recorded_weights.get(op)
        if weights is None:
            record = self._graphs.record
            weights = frozenset(v for v in record.inputs(op) if v in record.graph.initializers)
            self._recorded_weights[op] = weights
        return weights

    def _producers_of(self, op: int) -> frozenset[int]:
        producers = self._producers.get(op)
        if producers is None:
            record = self._graphs.record
            nodes = (record.graph.producer[value] for value in record.inputs(op))
            producers = self._producers[op] = frozenset(node for node in nodes if node != NONE)
        return producers


def _span_score(span: Span, op: int) -> float:
    """The vote of a neighbour whose op should stand right before a span."""
    if not span.closed:
        return OPEN_SPAN_SCORE
    if op not in span.before:
        return SPAN_MISMATCH_SCORE
    return max(MINIMUM_SPAN_SCORE, 1 - SPAN_OP_DISCOUNT * (len(span.ops) - 1))
