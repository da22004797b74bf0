"""Which part of a recorded op a node does, where the exporter had merged several calls into it.

Another exporter writes the same calls as several nodes: a padding and a convolution, where the
recorded file has a convolution with padding. The values between the calls are recorded. A node that
computes such a value does the calls up to there, and a node that reads it does the others.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable

import msgspec

from modelexport.hierarchy.record import MergedCall, Op, Record
from modelexport.rewriter.graph.indexed_graph import NONE, IndexedGraph
from modelexport.rewriter.matching.evidence.value_classes import ValueClasses, match_classes
from modelexport.rewriter.matching.evidence.values import ValueMatch


class MergedCalls:
    """The values between merged calls, as the file computes them.

    Args:
        record: The record.
        graph: The graph of the file.
        values: What both compute, compared; None when that is not known.
    """

    def __init__(self, record: Record, graph: IndexedGraph, values: ValueMatch | None) -> None:
        self._graph = graph
        self._class_of = {} if values is None else values.file.classes.class_of
        self._ops: dict[int, Op] = {}
        self._places: dict[int, dict[int, int]] = defaultdict(dict)
        """For each class of the file, the recorded ops inside of which it is, and the position of
        the call that returned it."""
        if values is not None:
            self._find_places(record, values)

    def modules_of(self, node: int, ops: Collection[int]) -> frozenset[str]:
        """For a node that is no recorded op: the modules of the merged calls that it does.

        Args:
            node: The node.
            ops: The recorded ops of the nodes that read its result.
        """
        places = self._places_of(self._graph.output_values(node))
        before = self._places_of(self._graph.input_values(node))
        parts = {
            self._modules(self._ops[op].merged[before.get(op, NONE) + 1 : place + 1])
            for op, place in places.items()
            if op in ops
        }
        return parts.pop() if len(parts) == 1 else frozenset()

    def part_of(self, node: int, op: int, recorded: Op) -> Op:
        """A recorded op, reduced to the modules of those calls that a node does.

        Args:
            node: A node that is paired with the op.
            op: The number of the op.
            recorded: The op.
        """
        if op not in self._ops:
            return recorded
        place = self._places_of(self._graph.input_values(node)).get(op)
        if place is None:
            return recorded
        calls = recorded.merged
        others = {recorded.module, *recorded.also} - self._modules(calls)
        modules = {path for path in others if path is not None}
        modules |= self._modules(calls[place + 1 :])
        module = recorded.module if recorded.module in modules else calls[-1].module
        return msgspec.structs.replace(
            recorded, module=module, also=tuple(sorted(modules - {module}))
        )

    def _find_places(self, record: Record, values: ValueMatch) -> None:
        self._ops = {number: op for number, op in enumerate(record.ops) if op.merged}
        places = [
            (number, position, call.value)
            for number, op in self._ops.items()
            for position, call in enumerate(op.merged)
            if call.value is not None
        ]
        if not places:
            return
        recorded = ValueClasses({n: value for n, (_, _, value) in enumerate(places)})
        classes = values.file.classes
        candidates = match_classes(classes, recorded, values.mode.tolerance)
        for number, matches in enumerate(candidates):
            for member in (n for match in matches for n in recorded.members[match]):
                op, position, _ = places[member]
                self._places[number][op] = position

    def _places_of(self, values: Iterable[int]) -> dict[int, int]:
        """The ops inside which some values lie, each with the last position of such a value."""
        places: dict[int, int] = {}
        for value in values:
            for op, place in self._places.get(self._class_of.get(value, NONE), {}).items():
                places[op] = max(place, places.get(op, place))
        return places

    @staticmethod
    def _modules(calls: Iterable[MergedCall]) -> frozenset[str]:
        return frozenset(call.module for call in calls)
