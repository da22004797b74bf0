"""The work of the nodes of a handmade file, for tests of `NodeWork`."""

from collections.abc import Iterable, Mapping

from modelexport.rewriter.matching.alignment.node_work import NodeWork
from modelexport.rewriter.matching.alignment.spans import SpanFinder
from tests.helpers.aligned import Aligned


def begun(
    case: Aligned, seeds: Mapping[str, str], anchored: Mapping[str, Iterable[str]] | None = None
) -> NodeWork:
    """The work of nodes before any of it is found."""
    pairs = case.pairs(seeds)
    spans = SpanFinder(case.graphs, pairs.ops, pairs.spans)
    parts = {
        case.node(node): tuple(case.op(op) for op in ops) for node, ops in (anchored or {}).items()
    }
    return NodeWork(case.graphs, pairs.ops, spans.span, pairs.spans, parts)


def work(
    case: Aligned, seeds: Mapping[str, str], anchored: Mapping[str, Iterable[str]] | None = None
) -> dict[str, set[str]]:
    """The ops of each node by name."""
    spans = begun(case, seeds, anchored).find()
    op_twice = [span for span in spans.values() if len(set(span.ops)) != len(span.ops)]
    assert op_twice == []
    return {
        case.node_name(node): {case.op_name(op) for op in span.ops} for node, span in spans.items()
    }
