"""What each node of a file costs: multiply-accumulates, bytes of weights, or measured time."""

from collections import defaultdict
from collections.abc import Callable, Mapping

from modelexport.hierarchy.choices import SplitBalance
from modelexport.hierarchy.module_tree import ROOT
from modelexport.rewriter.analysis.costs import MacCounter, Shapes, WorkCounter
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.extraction.graph_parts import MainGraph, weight_bytes

_LEAST_COST = 1e-6
"""Least cost of a node, as a share (0-1) of the cost of all nodes: no node is free."""


def node_costs(
    file: PlacedFile,
    graph: MainGraph,
    balance: SplitBalance,
    module_times: Callable[[], Mapping[str, float]],
) -> list[float]:
    """The cost of each working node of a graph, in their order; the sum of all is 1 or more.

    Args:
        file: The file.
        graph: Its main graph.
        balance: Which cost.
        module_times: Gives the time of the own nodes of each module, by its path; asked for
            times only.
    """
    if balance is SplitBalance.BYTES:
        costs = _bytes(file, graph)
    else:
        costs = _macs(file, graph)
        if balance is SplitBalance.TIME:
            costs = _times(file, graph, costs, module_times())
    total = sum(costs) or 1.0
    return [cost / total + _LEAST_COST for cost in costs]


def _macs(file: PlacedFile, graph: MainGraph) -> list[float]:
    counter, keys = MacCounter(Shapes(file.model)), file.graph.keys
    return [float(counter.count(keys[p], graph.nodes[p]) or 0) for p in graph.work]


def _charged_modules(file: PlacedFile, graph: MainGraph) -> list[str]:
    """The module to which a profile charges each working node."""
    macs = MacCounter(Shapes(file.model))
    counter = WorkCounter(file.model, file.tree, file.hierarchy.parameters, macs)
    claims, keys = file.claims, file.graph.keys
    return [
        ROOT
        if (claim := claims[position]) is None
        else counter.charged_module(claim, keys[position], graph.nodes[position])
        for position in graph.work
    ]


def _bytes(file: PlacedFile, graph: MainGraph) -> list[float]:
    sizes = {w.name: weight_bytes(w) for w in file.model.graph.initializer}
    return [  # a weight is counted where it is first read
        float(sum(sizes.pop(name, 0) for name in graph.reads[position])) for position in graph.work
    ]


def _times(
    file: PlacedFile, graph: MainGraph, macs: list[float], times: Mapping[str, float]
) -> list[float]:
    """The time of each module, divided among its nodes by their multiply-accumulates."""
    least = _LEAST_COST * max(1.0, sum(macs))
    shares = [count + least for count in macs]  # so that modules without any have shares, too
    modules = _charged_modules(file, graph)
    sums = defaultdict[str, float](float)
    for module, share in zip(modules, shares, strict=True):
        sums[module] += share
    return [
        times.get(module, 0.0) * share / sums[module]
        for module, share in zip(modules, shares, strict=True)
    ]
