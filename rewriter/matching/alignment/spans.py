"""What a node of a file does of the recorded graph: one op, or several in a row.

A fused node gives the result of the last of its ops and reads what the first ones read. Walking
back in the recorded graph from the op whose result it gives, as far as what it reads, finds
them all. That needs no list of fused operators.
"""

from typing import NamedTuple

from modelexport.rewriter.graph.graph_view import GraphView
from modelexport.rewriter.graph.indexed_graph import NONE
from modelexport.rewriter.matching.evidence.values import ValueMatch

_LARGEST = 64
"""No node does the work of more recorded ops than that."""


class Span(NamedTuple):
    """The recorded ops between what a node reads and what it makes.

    Attributes:
        ops: The ops, the last one first; just that one when the walk did not close.
        before: Ops that make what the span reads.
        closed: Whether each way back ended at something that the node reads.
    """

    ops: tuple[int, ...]
    before: frozenset[int]
    closed: bool


def span_of(
    here: GraphView,
    there: GraphView,
    values: ValueMatch | None,
    node: int,
    op: int,
    images: set[int],
) -> Span:
    """The span of a node that makes what a recorded op makes.

    Args:
        here: The file.
        there: The record.
        values: What is known of their values.
        node: Of the file.
        op: Of the record.
        images: Recorded ops that make what the node reads, as far as they are settled.
    """
    read: set[int] = set()
    if values is not None:
        for value in here.graph.input_values(node):
            read.update(values.candidate_classes(value))
            read.update(values.candidate_classes(here.origin[value]))
    ops = [op]
    seen = {op}
    before: set[int] = set()
    closed = True
    for current in ops:
        for value in there.inputs(current):
            if value in there.graph.initializers:
                continue
            maker = there.graph.producer[value]
            known = values is not None and values.record.classes.class_of.get(value, NONE) in read
            if known or maker in images:
                before.add(maker)
            elif maker == NONE:
                closed = False
            elif maker not in seen and not there.graph.derived[maker]:
                seen.add(maker)
                ops.append(maker)
        if len(ops) > _LARGEST:
            closed = False
            break
    before.discard(NONE)
    if not closed:
        return Span((op,), frozenset(before), closed=False)
    return Span(tuple(ops), frozenset(before), closed=True)
