"""The values of a file that belong to a module: those that leave it, and those that it reads.

A fused node returns what the last of its modules returns. The values that it reads are not outputs
of the other modules whose work it does.
"""

from collections import defaultdict
from collections.abc import Mapping

from modelexport.hierarchy.graph_paths import op_type
from modelexport.hierarchy.module_tree import ancestors, is_within
from modelexport.rewriter.comparison.boundaries import RECASTING
from modelexport.rewriter.comparison.compared_file import ComparedFile
from modelexport.rewriter.extraction.graph_parts import MainGraph


class OwnValues:
    """Finds the values of modules in the main graph of a file.

    Args:
        file: The file.
        order: Position of each module among those that ran, the last call of each; by path.
    """

    def __init__(self, file: ComparedFile, order: Mapping[str, int]) -> None:
        self._file, self._graph = file, MainGraph(file)
        count = len(self._graph.nodes)
        self._claims = file.claims[:count]  # the main graph's nodes have the first numbers
        self._paths = [self._paths_of(node) for node in range(count)]
        self._last = [
            max(paths, key=lambda path: order.get(path, -1), default=None) for paths in self._paths
        ]
        self._nodes_of: dict[str, list[int]] = defaultdict(list)
        for node, paths in enumerate(self._paths):
            for above in {above for path in paths for above in ancestors(path)}:
                self._nodes_of[above].append(node)

    def _paths_of(self, node: int) -> list[str]:
        """The modules whose work a node does."""
        claim = self._claims[node]
        if claim is None:
            return []
        covers = [self._file.tagger.resolve(path) for path in claim.covers]
        return covers or [self._file.tagger.resolve(claim.module)]

    @property
    def names(self) -> list[str]:
        """The values that nodes compute, in order."""
        return [name for node in self._graph.nodes for name in node.output if name]

    def producer(self, name: str) -> int | None:
        """The node that computes a value; None for inputs and weights."""
        return self._graph.producer.get(name)

    def op_type(self, name: str) -> str | None:
        """The operator that computes a value."""
        node = self.producer(name)
        return None if node is None else op_type(self._graph.nodes[node])

    def module(self, name: str) -> str | None:
        """Path of the module that computes a value."""
        node = self.producer(name)
        return None if node is None else self._last[node]

    def leaving(self, path: str, call: int) -> list[str]:
        """The values that leave a module, without those that another call of it computes."""
        names = []
        for node in self._nodes_of.get(path, ()):
            last = self._last[node]
            if last is None or not is_within(last, path) or self._is_recasting(node):
                continue
            claim = self._claims[node]
            if claim is not None and claim.module == path and claim.call not in {None, call}:
                continue
            names += [n for n in self._graph.nodes[node].output if n and self._leaves(n, path)]
        return names

    def _leaves(self, name: str, path: str) -> bool:
        pending, visited = [name], {name}
        while pending:
            value = pending.pop()
            if value in self._graph.returned:
                return True
            for consumer in self._graph.consumers.get(value, ()):
                node = self._graph.nodes[consumer]
                if self._is_recasting(consumer) and list(node.input[:1]) == [value]:
                    pending += [n for n in node.output[:1] if n not in visited]
                    visited.update(node.output)
                elif not any(is_within(p, path) for p in self._paths[consumer]):
                    return True
        return False

    def reads(self, path: str, *, alone: bool = False) -> list[str]:
        """The values that a module reads and does not compute, in their form before recasting.

        Args:
            path: Path of the module.
            alone: Only values that are read by nodes that work for no other module.
        """
        nodes = set(self._nodes_of.get(path, ()))
        readers = [
            node
            for node in sorted(nodes, reverse=True)
            if not alone or all(is_within(p, path) for p in self._paths[node])
        ]
        names: dict[str, None] = {}
        pending = [name for node in readers for name in self._graph.reads[node]]
        while pending:
            name = pending.pop()
            node = self.producer(name)
            if node is not None and self._is_recasting(node):
                pending.extend(self._graph.nodes[node].input[:1])
            elif node is not None and node not in nodes and name not in names:
                names[name] = None
        return list(names)

    def fused_with(self, path: str) -> dict[str, list[str]]:
        """Operators that do work of a module and of others, each with these others."""
        others: dict[str, list[str]] = {}
        for node in self._nodes_of.get(path, ()):
            if outside := [p for p in self._paths[node] if not is_within(p, path)]:
                others.setdefault(op_type(self._graph.nodes[node]), []).extend(outside)
        return others

    def has_nodes(self, path: str) -> bool:
        """Whether nodes do work of a module."""
        return path in self._nodes_of

    def _is_recasting(self, node: int) -> bool:
        return self._graph.nodes[node].op_type in RECASTING
