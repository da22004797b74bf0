"""What a node does of the recorded graph: one op, or several in a row.

A fused node returns the result of its last op and reads what its first ops read. So all its ops
are found by walking back in the recorded graph, from the op whose result the node returns to what
the node reads. That takes no list of fused operators.
"""

from collections.abc import Mapping
from typing import NamedTuple

from modelexport.rewriter.graph.indexed_graph import NONE
from modelexport.rewriter.matching.alignment.graph_pair import GraphPair
from modelexport.rewriter.matching.thresholds import MOST_SPAN_OPS


class Span(NamedTuple):
    """The recorded ops between what a node reads and what it returns.

    Attributes:
        ops: The ops, the last one first. If the span is not closed, only the last op.
        before: Ops that compute what the span reads.
        closed: Whether each path back ended at a value that the node reads.
    """

    ops: tuple[int, ...]
    before: frozenset[int]
    closed: bool


class SpanFinder:
    """Finds the span of pairs, each once.

    Args:
        graphs: What is aligned.
        ops: The recorded op of each paired node, as far as it is known when a span is asked for.
        initial: Spans that hold from the start, by node and op.
    """

    def __init__(
        self,
        graphs: GraphPair,
        ops: Mapping[int, int],
        initial: Mapping[tuple[int, int], Span],
    ) -> None:
        self._graphs = graphs
        self._ops = ops
        self._initial = initial
        self._spans: dict[tuple[int, int], Span] = {}

    def span(self, node: int, op: int) -> Span:
        """The recorded ops that a node does when it returns the result of a recorded op."""
        span = self._initial.get((node, op)) or self._spans.get((node, op))
        if span is not None:
            return span
        producers = self._paired_producers(node)
        span = find_span(self._graphs, node, op, producers)
        if self._graphs.values is not None or producers:
            self._spans[node, op] = span
        return span

    def span_behind(self, node: int, op: int, producer: int) -> Span:
        """The span of a pair, assuming that a node before it does a certain recorded op.

        The span of a fused node may be closed only if the node that is being paired does that op.
        """
        span = self.span(node, op)
        if span.closed:
            return span
        return find_span(self._graphs, node, op, self._paired_producers(node) | {producer})

    def _paired_producers(self, node: int) -> set[int]:
        """The recorded ops of the paired nodes before a node."""
        predecessors = self._graphs.file.predecessors(node)
        return {self._ops[other] for other in predecessors if other in self._ops}


def find_span(graphs: GraphPair, node: int, op: int, producers: set[int]) -> Span:
    """The span of a node that returns what a recorded op computes.

    Args:
        graphs: What is aligned.
        node: A node of the file.
        op: A recorded op.
        producers: Recorded ops that compute what the node reads, as far as they are known.
    """
    record, graph = graphs.record, graphs.record.graph
    classes = None if graphs.values is None else graphs.values.record.classes.class_of
    read = recorded_classes_read(graphs, node)
    ops = [op]
    visited = {op}
    before: set[int] = set()
    closed = True
    for current in ops:
        for value in record.inputs(current):
            if value in graph.initializers:
                continue
            producer = graph.producer[value]
            is_read = classes is not None and classes.get(value, NONE) in read
            if is_read or producer in producers:
                before.add(producer)
            elif producer == NONE:
                closed = False
            elif producer not in visited and not graph.derived[producer]:
                visited.add(producer)
                ops.append(producer)
        if len(ops) > MOST_SPAN_OPS:
            closed = False
            break
    before.discard(NONE)
    return Span(tuple(ops) if closed else (op,), frozenset(before), closed)


def recorded_classes_read(graphs: GraphPair, node: int) -> set[int]:
    """The recorded classes to which the inputs of a node may belong."""
    if graphs.values is None:
        return set()
    classes: set[int] = set()
    for value in graphs.file.graph.input_values(node):
        classes.update(graphs.values.candidate_classes(value))
        classes.update(graphs.values.candidate_classes(graphs.file.origin[value]))
    return classes
