"""Nodes that are no recorded op: what their matched neighbours enclose.

A node that an exporter or an optimiser made (a step of a decomposed op, a rescaling, a fused
op whose result the record does not have) lies on ways from matched nodes to matched nodes. Its
origins are among the recorded ops on the ways between these.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from modelexport.rewriter.graph.graph_view import GraphView
from modelexport.rewriter.graph.indexed_graph import NONE
from modelexport.rewriter.matching.alignment.aligner import Alignment

_FARTHEST = 48
"""Nodes looked at on each side of an open node."""

_LARGEST = 96
"""Recorded ops that a region may have before it says nothing any more."""


class Enclosed(NamedTuple):
    """What encloses a node.

    Attributes:
        ops: The recorded ops that it may stand for; empty when nothing encloses it.
        reason: Why nothing does.
    """

    ops: tuple[int, ...]
    reason: str = ""


class Enclosure:
    """Finds what encloses open nodes, once an alignment has grown.

    Args:
        alignment: The settled nodes.
        spans: The recorded ops of each settled node.
        merged: Weights of the file to the recorded weights that they are put together of.
    """

    def __init__(
        self,
        alignment: Alignment,
        spans: dict[int, tuple[int, ...]],
        merged: Mapping[int, frozenset[int]],
    ) -> None:
        self._alignment = alignment
        self._merged = merged
        self._spans = spans
        self._derived = alignment.here.graph.derived
        self._alive = alignment.here.graph.live_nodes()
        self._found: dict[int, tuple[int, ...]] = {}
        self._exact = {
            op for node, ops in spans.items() for op in ops if self._same_work(node, ops[0])
        }

    def _same_work(self, node: int, op: int) -> bool:
        """Whether a node does all of a recorded op, so that nothing is left of it for others."""
        here, there = self._alignment.here, self._alignment.there
        return (
            here.graph.op_types[node] == there.graph.op_types[op]
            or self._alignment.span(node, op).closed
        )

    def of(self, node: int) -> Enclosed:
        """The recorded ops that a node may stand for; ask in the order in which nodes run."""
        found = self._beside(node) if node not in self._alive else self._enclosed(node)
        self._found[node] = found.ops
        return found

    def _beside(self, node: int) -> Enclosed:
        """What nobody uses belongs to the decomposed op that its makers are steps of."""
        twin = self._twin(node)
        if twin is not None:
            return Enclosed((twin,))
        makers = [m for m in self._alignment.here.predecessors(node) if not self._derived[m]]
        ops = {op for m in makers for op in self._found.get(m, ())}
        if not ops or not all(self._found.get(m) for m in makers):
            return Enclosed((), "nobody uses what it makes, so that nothing tells where it belongs")
        return Enclosed(tuple(sorted(ops)))

    def _twin(self, node: int) -> int | None:
        """The recorded op that does the same with the same: a node may be there twice."""
        here, there, image = self._alignment.here, self._alignment.there, self._alignment.image
        made_from = [image[maker] for maker in here.predecessors(node) if maker in image]
        alike = {
            op
            for maker in made_from
            for op in there.successors(maker)
            if there.graph.op_types[op] == here.graph.op_types[node]
        }
        return alike.pop() if len(alike) == 1 else None

    def _enclosed(self, node: int) -> Enclosed:
        here, there = self._alignment.here, self._alignment.there
        sinks = self._nearest(node, here.successors)
        starts = self._nearest(node, here.predecessors)
        begins = {self._alignment.image[start] for start in starts}
        if sinks:
            ends = {op for sink in sinks for op in self._spans[sink]}
        elif begins:
            ends = _last(there, begins)
        if not sinks and (not begins or not ends):
            return Enclosed((), "no matched node uses what it makes")
        region = _between(there, begins, ends)
        if region is None:
            return Enclosed((), "its matched neighbours enclose too much of the model")
        return Enclosed(tuple(sorted(self._narrowed(node, region, begins, ends))))

    def _nearest(self, node: int, step: Callable[[int], Iterable[int]]) -> list[int]:
        """Settled nodes that are reached first, going one way."""
        found: list[int] = []
        seen = {node}
        waiting = [node]
        for current in waiting:
            for other in step(current):
                if other in seen:
                    continue
                seen.add(other)
                if other in self._alignment.image:
                    found.append(other)
                else:
                    waiting.append(other)
            if len(seen) > _FARTHEST:
                break
        return found

    def _narrowed(
        self, node: int, region: set[int], begins: set[int], ends: set[int]
    ) -> Iterable[int]:
        """Of a region, what nobody else does, else what is done in several steps.

        Where all of it is done by others the node is something between them that the record
        does not have, so it may belong to either side.
        """
        by_weight = self._reading_its_weights(node, region)
        if by_weight:
            return by_weight
        free = [op for op in region if op not in self._exact]
        if not free:
            return begins | (ends & region)
        kinds, kind = (
            self._alignment.there.graph.op_types,
            self._alignment.here.graph.op_types[node],
        )
        alike = [op for op in free if kinds[op] == kind]
        return alike if len(alike) == 1 else free

    def _reading_its_weights(self, node: int, region: set[int]) -> list[int]:
        alignment = self._alignment
        ours: set[int] = set()
        for value in alignment.here.inputs(node):
            ours |= alignment.weights.get(value, frozenset())
            ours |= self._merged.get(value, frozenset())
        return [op for op in region if ours & set(alignment.there.inputs(op))]


def _last(there: GraphView, begins: set[int]) -> set[int]:
    """Recorded ops after some ops whose results nobody reads: the model's own results."""
    seen = set(begins)
    waiting = list(begins)
    found: set[int] = set()
    while waiting and len(seen) <= _LARGEST:
        op = waiting.pop()
        if not there.successors(op) and op not in begins:
            found.add(op)
        for reader in there.successors(op):
            if reader not in seen:
                seen.add(reader)
                waiting.append(reader)
    return set() if waiting else found


def _between(there: GraphView, begins: set[int], ends: set[int]) -> set[int] | None:
    """Recorded ops on the ways from some ops (not included) to some others (included).

    Ops are numbered in an order in which they can run, so a way from `begins` never leads to
    an op before the first of them.
    """
    first = min(begins, default=NONE)
    seen: set[int] = set()
    waiting = [op for op in ends if op not in begins]
    touched: set[int] = set()
    while waiting:
        op = waiting.pop()
        if op in seen:
            continue
        seen.add(op)
        if len(seen) > _LARGEST:
            return None
        for maker in there.predecessors(op):
            if maker in begins:
                touched.add(op)
            elif maker > first and maker not in seen and not there.graph.derived[maker]:
                waiting.append(maker)
    return seen if not touched else _reached(there, touched, seen)


def _reached(there: GraphView, starts: set[int], within: set[int]) -> set[int]:
    """Ops of a set that are reached from some of it, these included."""
    found = set(starts)
    waiting = list(starts)
    while waiting:
        for reader in there.successors(waiting.pop()):
            if reader in within and reader not in found:
                found.add(reader)
                waiting.append(reader)
    return found
