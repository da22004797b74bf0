"""Regions of the recorded graph: the ops on the paths between some ops and some others."""

from collections.abc import Iterable

from modelexport.rewriter.graph.graph_view import GraphView
from modelexport.rewriter.graph.indexed_graph import NONE
from modelexport.rewriter.matching.thresholds import MOST_REGION_OPS


def region_between(record: GraphView, starts: set[int], ends: set[int]) -> set[int] | None:
    """Ops on the paths from some ops, these not included, to some others, these included.

    Ops are numbered in an order in which they can run, so no path from `starts` leads to an op
    before the first of them.

    Args:
        record: The recorded graph.
        starts: Where paths begin. When none leads to `ends`, all ops before these count.
        ends: Where paths end.

    Returns:
        The ops; None when there are too many of them to say anything.
    """
    first = min(starts, default=NONE)
    region: set[int] = set()
    after_starts: set[int] = set()
    pending = [op for op in ends if op not in starts]
    while pending:
        op = pending.pop()
        if op in region:
            continue
        region.add(op)
        if len(region) > MOST_REGION_OPS:
            return None
        for predecessor in record.predecessors(op):
            if predecessor in starts:
                after_starts.add(op)
                continue
            is_new = predecessor > first and predecessor not in region
            if is_new and not record.graph.derived[predecessor]:
                pending.append(predecessor)
    return _reachable(record, after_starts, region) if after_starts else region


def last_ops(record: GraphView, starts: Iterable[int]) -> set[int]:
    """Ops after some ops whose results no op reads: they compute the model's results.

    Returns:
        The ops; none when too many ops lie between to say anything.
    """
    visited = set(starts)
    pending = list(visited)
    last: set[int] = set()
    while pending and len(visited) <= MOST_REGION_OPS:
        op = pending.pop()
        successors = record.successors(op)
        if not successors and op not in starts:
            last.add(op)
        for successor in successors:
            if successor not in visited:
                visited.add(successor)
                pending.append(successor)
    return set() if pending else last


def _reachable(record: GraphView, starts: set[int], within: set[int]) -> set[int]:
    """Ops of a set that depend on some of them, these included."""
    reached = set(starts)
    pending = list(starts)
    while pending:
        for successor in record.successors(pending.pop()):
            if successor in within and successor not in reached:
                reached.add(successor)
                pending.append(successor)
    return reached
