"""Finding the decisions that a person asks about."""

from modelexport.errors import UsageError
from modelexport.hierarchy.graph_paths import MAIN
from modelexport.rewriter.annotation.report import AnnotateReport
from modelexport.rewriter.matching.matcher import Decision

_SHOWN = 3


def find_decisions(report: AnnotateReport, wanted: str) -> list[Decision]:
    """The decisions about the nodes of a name, or about the one at a place.

    Args:
        report: Of an annotation.
        wanted: A node's name; or `#7`, the position in the main graph; or `PATH#7`, that in
            the graph of this path (see `hierarchy.graph_paths`).

    Raises:
        UsageError: There is no such node.
    """
    named = [decision for decision in report.decisions if decision.name == wanted]
    if named:
        return named
    graph, mark, position = wanted.rpartition("#")
    if mark and position.isdigit():
        place = (graph or MAIN, int(position))
        found = [d for d in report.decisions if (d.graph, d.position) == place]
        if found:
            return found
    like = [d.name for d in report.decisions if wanted and wanted in d.name][:_SHOWN]
    hint = f" (there are {', '.join(like)})" if like else ""
    raise UsageError(f"{report.file}: no node is called {wanted}{hint}; #7 means the node at 7.")
