"""The work of each node by module and by source line. It decides what the node is charged to."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from modelexport.hierarchy.module_tree import ROOT, ModuleTree
from modelexport.rewriter.analysis.costs import MacCounter, Shapes
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.graph.initializer_parameters import InitializerParameters


class Work(NamedTuple):
    """Work for one module, compared by multiply-accumulates, then by elements of weights."""

    macs: int = 0
    weights: int = 0


WorkByModule = dict[str, Work]
"""Paths of modules to the work that is done for them."""

WorkByLine = dict[str, Work]
"""Source lines (`file:line`) to the work that is done for them."""


def add_works(*all_works: Mapping[str, Work]) -> WorkByModule:
    """The sums of some work by module."""
    total: WorkByModule = {}
    for works in all_works:
        for module, work in works.items():
            before = total.get(module, Work())
            total[module] = Work(before.macs + work.macs, before.weights + work.weights)
    return total


class WorkCounter:
    """Counts the work of the nodes of a file by module.

    Args:
        file: The file, with the modules of its nodes.
        dims: Sizes of open dimensions by their names.
    """

    def __init__(self, file: PlacedFile, dims: Mapping[str, int]) -> None:
        self._file = file
        self._macs = MacCounter(Shapes(file.model, dims))
        self._parameters = InitializerParameters(file.model, file.tree, file.hierarchy.parameters)
        sizes = self._parameters.shapes
        self._sizes = {name: math.prod(shape) for name, shape in sizes.items()}

    def count(self, node: int) -> WorkByModule:
        """The work of a node by module; empty for a node without a module."""
        claim = self._file.claims[node]
        if claim is None:
            return {}
        key, proto = self._file.graph.keys[node], self._file.graph.nodes[node]
        macs = self._macs.count(key, proto) or 0
        sizes = {name: self._sizes[name] for name in proto.input if name in self._sizes}
        if not claim.covers:
            return {claim.module: Work(macs, sum(sizes.values()))}
        works = dict.fromkeys(claim.covers, Work())
        heaviest: str | None = None
        for name, size in sizes.items():
            owner = self._parameters.owner(name)
            if owner in works:
                works[owner] = Work(0, works[owner].weights + size)
                if heaviest is None or works[owner].weights > works[heaviest].weights:
                    heaviest = owner
        if heaviest is None:  # its weights were merged: the modules' own sizes decide
            works = {path: Work(0, self._size_of_module(path)) for path in works}
            heaviest = max(works, key=lambda path: works[path].weights)
        if works[heaviest].weights:
            works[heaviest] = Work(macs, works[heaviest].weights)
        return works

    def count_by_line(self, node: int) -> WorkByLine:
        """The work of a node by source line, the first of its lines; empty without a line."""
        works = self.count(node).values()
        total = Work(sum(work.macs for work in works), sum(work.weights for work in works))
        lines = self._file.source_lines[node]
        return {line: Work() if number else total for number, line in enumerate(lines)}

    def _size_of_module(self, path: str) -> int:
        """Elements of the own parameters of a module."""
        if path not in self._file.tree:
            return 0
        return sum(parameter.size for parameter in self._file.tree[path].parameters)


def choose_line(works: Mapping[str, Work]) -> str | None:
    """The source line to which a layer is charged: the one with the most work; of equals the first.

    None where there is no line.
    """
    return max(works, key=lambda line: works[line], default=None)


def choose_module(works: Mapping[str, Work], tree: ModuleTree) -> str:
    """The module to which a layer is charged: the one with the most work.

    Of modules with equal work it is their common ancestor, but for the root: then the first.
    """
    most = max(works.values())
    modules = sorted(module for module, work in works.items() if work == most)
    if len(modules) == 1:
        return modules[0]
    ancestor = tree.common_ancestor(modules)
    below_root = [module for module in modules if module != ROOT]
    return ancestor if ancestor != ROOT or not below_root else below_root[0]
