"""The work of each node by module. It decides which module a node is charged to."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import onnx

from modelexport.hierarchy.graph_paths import LocatedGraph, NodeKey
from modelexport.hierarchy.module_tree import ROOT, ModuleTree
from modelexport.rewriter.analysis.costs.macs import MacCounter
from modelexport.rewriter.graph.initializer_parameters import InitializerParameters
from modelexport.rewriter.matching import Claim


class Work(NamedTuple):
    """Work for one module, compared by multiply-accumulates, then by elements of weights."""

    macs: int = 0
    weights: int = 0


WorkByModule = dict[str, Work]
"""Paths of modules to the work that is done for them."""


def add_works(*all_works: Mapping[str, Work]) -> WorkByModule:
    """The sums of some work by module."""
    total: WorkByModule = {}
    for works in all_works:
        for module, work in works.items():
            before = total.get(module, Work())
            total[module] = Work(before.macs + work.macs, before.weights + work.weights)
    return total


class WorkCounter:
    """Counts the work of nodes by module.

    Args:
        model: The model; its weights may be left out.
        tree: Its modules.
        claimed: Initializer name to the parameter that it holds, as the file or a record says.
        macs: Counts the multiply-accumulates of its nodes.
        graphs: The graphs of the model, as `walk_graphs` gives them, where they are known.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        tree: ModuleTree,
        claimed: Mapping[str, str],
        macs: MacCounter,
        graphs: Iterable[LocatedGraph] | None = None,
    ) -> None:
        self._tree, self._macs = tree, macs
        self._parameters = InitializerParameters(model, tree, claimed, graphs)
        sizes = self._parameters.shapes
        self._sizes = {name: math.prod(shape) for name, shape in sizes.items()}

    def count(self, claim: Claim | None, key: NodeKey, proto: onnx.NodeProto) -> WorkByModule:
        """The work of a node by module; empty for a node without a module."""
        if claim is None:
            return {}
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

    def charged_module(self, claim: Claim, key: NodeKey, proto: onnx.NodeProto) -> str:
        """The module to which a node's cost is charged: its own, if it does no other's work."""
        if not claim.covers:
            return claim.module
        return choose_module(self.count(claim, key, proto), self._tree)

    def _size_of_module(self, path: str) -> int:
        """Elements of the own parameters of a module."""
        if path not in self._tree:
            return 0
        return sum(parameter.size for parameter in self._tree[path].parameters)


def choose_module(works: Mapping[str, Work], tree: ModuleTree) -> str:
    """The module to which a node or a layer is charged: the one with the most work.

    Of modules with equal work it is their common ancestor, but for the root: then the first.
    """
    most = max(works.values())
    modules = sorted(module for module, work in works.items() if work == most)
    if len(modules) == 1:
        return modules[0]
    ancestor = tree.common_ancestor(modules)
    below_root = [module for module in modules if module != ROOT]
    return ancestor if ancestor != ROOT or not below_root else below_root[0]
