"""Nodes that are no recorded op: what their matched neighbours enclose.

A node that an exporter or an optimiser made (a step of a decomposed op, a rescaling, a fused
op whose result the record does not have) lies on ways from matched nodes to matched nodes. Its
origins are among the recorded ops on the ways between these.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from rewriter.evidence.alignment import Alignment
from rewriter.wiring import Contracted

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
    """

    def __init__(self, alignment: Alignment, spans: dict[int, tuple[int, ...]]) -> None:
        self._alignment = alignment
        self._spans = spans
        self._exact = {
            ops[0]
            for node, ops in spans.items()
            if len(ops) == 1 and self._same_work(node, ops[0])
        }

    def _same_work(self, node: int, op: int) -> bool:
        """Whether a node does all of a recorded op, so that nothing is left of it for others."""
        here, there = self._alignment.here, self._alignment.there
        return (
            here.wiring.kinds[node] == there.wiring.kinds[op]
            or self._alignment.span(node, op).closed
        )

    def of(self, node: int) -> Enclosed:
        """The recorded ops that a node may stand for."""
        here, there = self._alignment.here, self._alignment.there
        sinks = self._nearest(node, lambda n: here.readers[n])
        if not sinks:
            return Enclosed((), "no matched node uses what it makes")
        starts = self._nearest(node, here.makers)
        ends = {op for sink in sinks for op in self._spans[sink]}
        begins = {self._alignment.image[start] for start in starts}
        region = _between(there, begins, ends)
        if region is None:
            return Enclosed((), "its matched neighbours enclose too much of the model")
        return Enclosed(tuple(self._narrowed(node, region, ends)))

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

    def _narrowed(self, node: int, region: set[int], ends: set[int]) -> list[int]:
        """Of a region, what nobody else does, else what is done in several steps."""
        by_weight = self._reading_its_weights(node, region)
        if by_weight:
            return by_weight
        free = [op for op in region if op not in self._exact]
        if not free:
            free = [op for op in region if op in ends] or list(region)
        kinds, kind = self._alignment.there.wiring.kinds, self._alignment.here.wiring.kinds[node]
        alike = [op for op in free if kinds[op] == kind]
        return sorted(alike if len(alike) == 1 else free)

    def _reading_its_weights(self, node: int, region: set[int]) -> list[int]:
        alignment = self._alignment
        ours: set[int] = set()
        for value in alignment.here.sources[node]:
            ours |= alignment.weights.get(value, frozenset())
        return sorted(op for op in region if ours & set(alignment.there.sources[op]))


def _between(there: Contracted, begins: set[int], ends: set[int]) -> set[int] | None:
    """Recorded ops on the ways from some ops (not included) to some others (included)."""
    seen: set[int] = set()
    waiting = [op for op in ends if op not in begins]
    order: list[int] = []
    touches: set[int] = set()
    while waiting:
        op = waiting.pop()
        if op in seen:
            continue
        seen.add(op)
        order.append(op)
        if len(seen) > _LARGEST:
            return None
        for maker in there.makers(op):
            if maker in begins:
                touches.add(op)
            elif maker not in seen and not there.wiring.derived[maker]:
                waiting.append(maker)
    if not begins or not touches:
        return seen
    reached = set(touches)
    waiting = list(touches)
    while waiting:
        for reader in there.readers[waiting.pop()]:
            if reader in seen and reader not in reached:
                reached.add(reader)
                waiting.append(reader)
    return reached
