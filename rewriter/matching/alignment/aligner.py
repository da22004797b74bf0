"""Which recorded op each node of a file is: seeds, and what follows from them.

Evidence plants seeds: pairs of a node and a recorded op. From these the alignment grows along
the edges of both graphs, across whatever only passes values on: a node is the recorded op that
stands to the recorded neighbours as the node stands to its own. Values veto. Where two recorded
ops serve a node equally well it waits until its neighbours decide; what is never decided stays
*ambiguous*, and its alternatives are kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.rewriter.graph.graph_view import GraphView
from modelexport.rewriter.graph.indexed_graph import NONE
from modelexport.rewriter.matching.alignment.spans import Span, span_of
from modelexport.rewriter.matching.evidence.values import ValueMatch

_STRONG = 1.25
"""A score beyond it is more than one neighbour's word."""

_BY_NEARNESS = 0.5
"""What a near result counts in a quantised file: less than a neighbour, and it breaks ties."""

_MUCH_NEARER = 2
"""A quantised op is finished by steps (a scale, a bias) that each come so many times nearer."""

_BY_WEIGHT = 2
"""What a common weight counts, where a common neighbour counts 1."""


@dataclass
class Alternative:
    """A recorded op that a node may be, and how well it fits its place."""

    op: int
    score: float
    distance: float | None = None


@dataclass(eq=False)
class Alignment:
    """Pairs of nodes and recorded ops, growing.

    Attributes:
        here, there: The file and the record, without what only passes values on.
        values: What is known of their values, if anything.
        weights: Weights of the file to the recorded weights that they hold.
        inputs: Inputs of the file to recorded inputs.
        options: Nodes to the recorded ops that compute their values, with the distance.
        hints: Nodes to recorded ops whose results are near to theirs, with the distance.
        image: Nodes to recorded ops.
        kinds: The evidence for each.
        only: The nodes that may be settled; all when None.
        considered: The recorded ops that were weighed for a node.
        ambiguous: Nodes between whose alternatives nothing decides.
    """

    here: GraphView
    there: GraphView
    values: ValueMatch | None
    weights: Mapping[int, frozenset[int]]
    inputs: Mapping[int, int] = field(default_factory=dict)
    options: dict[int, dict[int, float]] = field(default_factory=dict)
    hints: dict[int, dict[int, float]] = field(default_factory=dict)
    image: dict[int, int] = field(default_factory=dict)
    kinds: dict[int, EvidenceKind] = field(default_factory=dict)
    only: set[int] | None = None
    considered: dict[int, list[Alternative]] = field(default_factory=dict)
    ambiguous: dict[int, list[Alternative]] = field(default_factory=dict)
    _spans: dict[tuple[int, int], Span] = field(default_factory=dict)
    _taken: dict[int, int] = field(default_factory=dict)
    _recorded_sources: dict[int, frozenset[int]] = field(default_factory=dict)
    _recorded_weights: dict[int, frozenset[int]] = field(default_factory=dict)

    def plant(self, node: int, op: int, kind: EvidenceKind) -> None:
        """Settle a node."""
        self.image[node] = op
        self.kinds[node] = kind
        self._taken[op] = self._taken.get(op, 0) + 1

    def calibrate_values(self) -> None:
        """Trust the values of a quantised file as far as the settled pairs show."""
        if self.values is not None:
            self.values = self.values.calibrated(self.image)

    def is_free(self, op: int) -> bool:
        """Whether no node has been found to do a recorded op's work."""
        return not self._taken.get(op)

    def plant_several(self, node: int, ops: list[int], kind: EvidenceKind) -> None:
        """Settle a node that does the work of several recorded ops in a row, the last one last."""
        self.plant(node, ops[-1], kind)
        before = {m for op in ops for m in self.there.predecessors(op)} - set(ops)
        self._spans[node, ops[-1]] = Span(tuple(ops[::-1]), frozenset(before), closed=True)
        for op in ops[:-1]:
            self._taken[op] = self._taken.get(op, 0) + 1

    def grow(self) -> None:
        """Settle what follows from what is settled, until nothing more does."""
        if self.only is not None:
            waiting = {n for n in self.only - self.image.keys() if self._has_neighbours(n)}
        else:
            waiting = self._around(self.image) | set(self.options) | set(self.hints)
            waiting |= {n for value in self.inputs for n in self.here.consumers(value)}
        weak: set[int] = set()
        while waiting or weak:
            settled = self._settle(waiting, _STRONG, weak)
            if not settled and not waiting:
                settled = self._settle(set(weak), 0.0, weak)
                if not settled:
                    break
            waiting = self._around(settled)
        self._decide_ties()

    def _has_neighbours(self, node: int) -> bool:
        """Whether something is known of what stands beside a node."""
        beside = (*self.here.predecessors(node), *self.here.successors(node))
        return any(other in self.image for other in beside) or any(
            value in self.inputs for value in self.here.inputs(node)
        )

    def _settle(self, nodes: set[int], least: float, weak: set[int]) -> list[int]:
        """Settle those of some nodes for which more than the least score speaks.

        Those for which something speaks, but not as much, are kept as weak: they wait until
        stronger pairs have settled all that follows from them.
        """
        settled = []
        for node in sorted(node for node in nodes if node not in self.image):
            choice = self._choose(node)
            if choice is None:
                continue
            if choice.score > least:
                self.plant(node, choice.op, self._kind_of(node))
                settled.append(node)
            else:
                weak.add(node)
        weak.difference_update(settled)
        return settled

    def _decide_ties(self) -> None:
        """What is left over: alternatives that nothing tells apart."""
        for node in self.options:
            if node not in self.image:
                best = self._best(node)
                if best:
                    self.ambiguous[node] = best

    def _around(self, nodes: Iterable[int]) -> set[int]:
        found: set[int] = set()
        for node in nodes:
            found.update(self.here.predecessors(node))
            found.update(self.here.successors(node))
        return {
            node
            for node in found
            if node not in self.image and (self.only is None or node in self.only)
        }

    def _kind_of(self, node: int) -> EvidenceKind:
        return EvidenceKind.VALUES if node in self.options else EvidenceKind.STRUCTURE

    def _choose(self, node: int) -> Alternative | None:
        """The one recorded op that fits best, if there is one."""
        best = self._best(node)
        if not best or best[0].score <= 0:
            return None
        if len(best) > 1:
            best = [each for each in best if not self._is_a_neighbour(node, each.op)] or best
            kinds, kind = self.there.graph.op_types, self.here.graph.op_types[node]
            alike = any(kinds[each.op] == kind for each in best)
            best = (not alike and [a for a in best if self._finishes(node, a.op)]) or best
        if len(best) == 1:
            return best[0]
        free = [each for each in best if not self._taken.get(each.op)]
        return free[0] if len(free) == 1 else None

    def _is_a_neighbour(self, node: int, op: int) -> bool:
        """Whether an open neighbour is of a recorded op's operator, and the node is not."""
        kinds, kind = self.here.graph.op_types, self.there.graph.op_types[op]
        beside = (*self.here.predecessors(node), *self.here.successors(node))
        return kinds[node] != kind and any(
            kinds[other] == kind and self.image.get(other, op) == op for other in beside
        )

    def _best(self, node: int) -> list[Alternative]:
        """The alternatives of the highest score."""
        options = self.options.get(node)
        hints = self.hints.get(node, {})
        if options is None:
            ops: Iterable[int] = dict.fromkeys([*self._neighbouring(node), *hints])
        else:
            ops = options
        rated = [self._rate(node, op, (options or hints).get(op), op in hints) for op in ops]
        if not rated:
            return []
        self.considered[node] = rated
        top = max(each.score for each in rated)
        return [each for each in rated if each.score == top]

    def _rate(self, node: int, op: int, distance: float | None, hinted: bool) -> Alternative:
        score = self._score(node, op)
        return Alternative(op, score + _BY_NEARNESS * (hinted and score > 0), distance)

    def _neighbouring(self, node: int) -> list[int]:
        """Recorded ops of the node's operator that stand beside its neighbours' images."""
        kind = self.here.graph.op_types[node]
        found: dict[int, None] = {}
        for maker in self.here.predecessors(node):
            if (image := self.image.get(maker)) is not None:
                found.update(dict.fromkeys(self.there.successors(image)))
        for reader in self.here.successors(node):
            if (image := self.image.get(reader)) is not None:
                found.update(dict.fromkeys(self.there.predecessors(image)))
        for value in self.here.inputs(node):
            if (given := self.inputs.get(value)) is not None:
                found.update(dict.fromkeys(self.there.consumers(given)))
        return [op for op in found if self._eligible(node, op, kind)]

    def _eligible(self, node: int, op: int, kind: str) -> bool:
        if self._taken.get(op):
            return False
        alike = None if self.values is None else self.values.compatible(node, op)
        if self.there.graph.has_torch_op_types:
            return alike is True and self.values is not None and self.values.same_shape(node, op)
        return self.there.graph.op_types[op] == kind and alike is not False

    def span(self, node: int, op: int) -> Span:
        """What a node does when its result is that of a recorded op."""
        found = self._spans.get((node, op))
        if found is None:
            images = {self.image.get(maker, NONE) for maker in self.here.predecessors(node)} - {
                NONE
            }
            found = span_of(self.here, self.there, self.values, node, op, images)
            if self.values is not None or images:
                self._spans[node, op] = found
        return found

    def _score(self, node: int, op: int) -> float:
        """Settled neighbours that speak for the pair, less those that speak against it."""
        score = 0.0
        sources = self._sources_of(op)
        span = None
        for maker in self.here.predecessors(node):
            image = self.image.get(maker)
            if image is None:
                continue
            if image in sources or (image == op and op in self.hints.get(node, ())):
                score += 1
                continue
            span = span or self.span(node, op)
            score += _agreement(span, image)
        for reader in self.here.successors(node):
            image = self.image.get(reader)
            if image is None or image == op:
                continue
            if op in self._sources_of(image):
                score += 1
                continue
            score += _agreement(self.span(reader, image), op)
        return score + self._input_score(node, op) + self._weight_score(node, op)

    def _finishes(self, node: int, op: int) -> bool:
        """Whether a node is much nearer to a recorded op's result than one that begins it."""
        distance = self.hints.get(node, {}).get(op)
        if distance is None or self.values is None or self.values.quantised is None:
            return False
        begun = [maker for maker in self.here.predecessors(node) if self.image.get(maker) == op]
        before = [self.values.quantised.distance(maker, op) for maker in begun]
        return any(each is None or each > _MUCH_NEARER * distance for each in before)

    def _input_score(self, node: int, op: int) -> float:
        theirs = self.there.inputs(op)
        given = (self.inputs.get(value) for value in self.here.inputs(node))
        return float(sum(value in theirs for value in given if value is not None))

    def _weight_score(self, node: int, op: int) -> float:
        ours: set[int] = set()
        for value in self.here.inputs(node):
            ours |= self.weights.get(value, frozenset())
        theirs = self._recorded_weights.get(op)
        if theirs is None:
            graph = self.there.graph
            theirs = frozenset(v for v in self.there.inputs(op) if v in graph.initializers)
            self._recorded_weights[op] = theirs
        if not theirs or not (ours or theirs & self._everywhere):
            return 0.0
        if not ours and self._finishes(node, op):
            return 0.0
        return _BY_WEIGHT if ours & theirs else -_BY_WEIGHT

    @cached_property
    def _everywhere(self) -> frozenset[int]:
        """Recorded weights that the file has: a node that reads none is no op that does."""
        return frozenset().union(*self.weights.values())

    def _sources_of(self, op: int) -> frozenset[int]:
        found = self._recorded_sources.get(op)
        if found is None:
            makers = (self.there.graph.producer[value] for value in self.there.inputs(op))
            found = self._recorded_sources[op] = frozenset(m for m in makers if m != NONE)
        return found


def _agreement(span: Span, op: int) -> float:
    """Whether a recorded op is what a span begins after; the longer the span the less sure."""
    if not span.closed:
        return -0.5
    return max(0.5, 1 - 0.05 * (len(span.ops) - 1)) if op in span.before else -1.0
