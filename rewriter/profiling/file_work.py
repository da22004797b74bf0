"""The work of the nodes of a file, by module and by source line."""

from collections.abc import Mapping

from modelexport.rewriter.analysis.costs import (
    MacCounter,
    Shapes,
    Work,
    WorkByModule,
    WorkCounter,
)
from modelexport.rewriter.annotation.placed_file import PlacedFile

WorkByLine = dict[str, Work]
"""Source lines (`file:line`) to the work that is done for them."""


class FileWork:
    """Counts the work of the nodes of a file.

    Args:
        file: The file, with the modules of its nodes.
        dims: Sizes of open dimensions by their names.
    """

    def __init__(self, file: PlacedFile, dims: Mapping[str, int]) -> None:
        self._file = file
        macs = MacCounter(Shapes(file.model, dims))
        self._counter = WorkCounter(file.model, file.tree, file.hierarchy.parameters, macs)

    def by_module(self, node: int) -> WorkByModule:
        """The work of a node by module; empty for a node without a module."""
        graph = self._file.graph
        return self._counter.count(self._file.claims[node], graph.keys[node], graph.nodes[node])

    def by_line(self, node: int) -> WorkByLine:
        """The work of a node by source line, the first of its lines; empty without a line."""
        works = self.by_module(node).values()
        total = Work(sum(work.macs for work in works), sum(work.weights for work in works))
        lines = self._file.source_lines[node]
        return {line: Work() if number else total for number, line in enumerate(lines)}


def choose_line(works: Mapping[str, Work]) -> str | None:
    """The source line to which a layer is charged: the one with the most work; of equals the first.

    None where there is no line.
    """
    return max(works, key=lambda line: works[line], default=None)
