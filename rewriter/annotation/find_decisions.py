"""Finding the decisions about one node, by its name or its position."""

from modelexport.errors import UsageError
from modelexport.hierarchy.graph_paths import MAIN
from modelexport.rewriter.annotation.report import AnnotateReport
from modelexport.rewriter.matching import Decision
from modelexport.support.numerals import is_numeral

_MOST_SUGGESTIONS = 3
"""Maximum number of similar names in the error about an unknown node."""


def find_decisions(report: AnnotateReport, node: str) -> list[Decision]:
    """The decisions about the nodes of a name, or about the node at a position.

    Args:
        report: The report of an annotation.
        node: A node's name; or `#7`, the position in the main graph; or `PATH#7`, the position
            in the graph of this path (see `hierarchy.graph_paths`).

    Examples:
        >>> from modelexport import annotate, find_decisions
        >>> report = annotate("net.onnx", "net.trace.json", None)
        >>> [(decision.name, decision.module) for decision in find_decisions(report, "#1")]
        [('proj0', 'layer.0.fc')]

    Raises:
        UsageError: There is no such node.
    """
    named = [decision for decision in report.decisions if decision.name == node]
    if named:
        return named
    graph, mark, position = node.rpartition("#")
    if mark and is_numeral(position):
        address = (graph or MAIN, int(position))
        placed = [d for d in report.decisions if (d.graph, d.position) == address]
        if placed:
            return placed
    similar = [d.name for d in report.decisions if node and node in d.name][:_MOST_SUGGESTIONS]
    hint = f" (similar names: {', '.join(similar)})" if similar else ""
    raise UsageError(
        f"{report.file}: no node is called {node}{hint}; #7 stands for the node at position 7."
    )
