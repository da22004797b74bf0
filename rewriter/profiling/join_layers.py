"""Joining the layers of a profile with the nodes of a graph."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from modelexport.hierarchy.module_tree import ROOT
from modelexport.rewriter.analysis.costs import add_works, choose_module
from modelexport.rewriter.profiling.file_work import choose_line
from modelexport.rewriter.profiling.profiled_graph import ProfiledGraph
from modelexport.rewriter.profiling.recorded_profile import RecordedLayer

_NO_NODE = "no node of the file was found for it"


class Charge(NamedTuple):
    """The module to which the time of a layer is charged.

    Attributes:
        module: Path of the module; None where no module is known.
        covers: Paths of all modules whose work the layer does.
        nodes: Numbers of the nodes that the layer runs.
        reason: Why no module is known.
        lines: The source lines behind the layer; the one that it is charged to comes first.
        is_root_work: Whether it is known to be work of the root's own forward.
    """

    module: str | None
    covers: tuple[str, ...] = ()
    nodes: tuple[int, ...] = ()
    reason: str | None = None
    lines: tuple[str, ...] = ()
    is_root_work: bool = False


def charge_layers(layers: Sequence[RecordedLayer], graph: ProfiledGraph) -> list[Charge]:
    """Charge each layer to a module: of all whose work it does, the one with the most work.

    Args:
        layers: The layers of a profile.
        graph: The graph that ran.
    """
    nodes = join_layers(layers, graph)
    charges = [_charge(numbers, graph) for numbers in nodes]
    return _by_neighbours(layers, charges, graph)


def join_layers(layers: Sequence[RecordedLayer], graph: ProfiledGraph) -> list[tuple[int, ...]]:
    """The numbers of the nodes that each layer runs; none where no node fits.

    A name counts where one node has it. Several layers of one name, and layers of nodes without a
    name, are joined in their order, where there are as many nodes as layers.
    """
    by_name = graph.by_name()
    groups: dict[tuple[str, str], list[int]] = {}
    nodes: list[tuple[int, ...]] = [()] * len(layers)
    for position, layer in enumerate(layers):
        if layer.sources or layer.ends:
            nodes[position] = _of_sources(layer, graph, by_name)
        elif len(by_name.get(layer.name, ())) == 1:
            nodes[position] = tuple(by_name[layer.name])
        else:
            name = layer.name if layer.name in by_name else ""
            groups.setdefault((name, layer.op_type), []).append(position)
    for (name, op_type), positions in groups.items():
        numbers = [
            n
            for n, node in enumerate(graph.nodes)
            if node.name == name and node.op_type.rpartition("::")[2] == op_type
        ]
        if len(numbers) == len(positions):
            for position, number in zip(positions, numbers, strict=True):
                nodes[position] = (number,)
        elif name:
            for position in positions:
                nodes[position] = tuple(numbers)
    return nodes


def _of_sources(
    layer: RecordedLayer, graph: ProfiledGraph, by_name: dict[str, list[int]]
) -> tuple[int, ...]:
    numbers = [n for name in layer.sources for n in by_name.get(name, ())]
    if layer.ends is not None:
        first, last = (by_name.get(name, ()) for name in layer.ends)
        numbers += _between(graph, first, last)
    return tuple(dict.fromkeys(numbers))


def _between(graph: ProfiledGraph, first: Iterable[int], last: Iterable[int]) -> list[int]:
    """The nodes on the paths from some nodes to others, the ends included."""
    after = _reachable(first, graph.graph.successors)
    before = _reachable(last, graph.graph.predecessors)
    between = sorted(after & before)
    return between or sorted({*first, *last})


def _reachable(start: Iterable[int], neighbours: Sequence[Iterable[int]]) -> set[int]:
    reached = set(start)
    pending = list(reached)
    while pending:
        for other in neighbours[pending.pop()]:
            if other not in reached:
                reached.add(other)
                pending.append(other)
    return reached


def _charge(numbers: tuple[int, ...], graph: ProfiledGraph) -> Charge:
    if not numbers:
        return Charge(None, reason=_NO_NODE)
    works = add_works(*(graph.nodes[number].works for number in numbers))
    line_works = add_works(*(graph.nodes[number].line_works for number in numbers))
    line = choose_line(line_works)
    lines = () if line is None else (line, *(other for other in line_works if other != line))
    if not works:
        reason = graph.nodes[numbers[0]].reason or "the node has no module"
        return Charge(None, nodes=numbers, reason=reason, lines=lines)
    covers = tuple(sorted(works)) if len(works) > 1 else ()
    module = choose_module(works, graph.tree)
    root_work = module == ROOT and all(graph.nodes[number].is_root_op for number in numbers)
    return Charge(module, covers, numbers, lines=lines, is_root_work=root_work)


def _by_neighbours(
    layers: Sequence[RecordedLayer], charges: list[Charge], graph: ProfiledGraph
) -> list[Charge]:
    """Charge layers without nodes to the module around their nearest neighbours.

    Only a profile that says which layers a layer reads has neighbours.
    """
    positions = {layer.name: position for position, layer in enumerate(layers)}
    reads = [[positions[n] for n in layer.predecessors if n in positions] for layer in layers]
    readers: list[list[int]] = [[] for _ in layers]
    for position, sources in enumerate(reads):
        for source in sources:
            readers[source].append(position)
    result = list(charges)
    for position, charge in enumerate(charges):
        if charge.nodes:
            continue
        nearest = [_nearest(position, edges, charges) for edges in (reads, readers)]
        modules = sorted({module for module in nearest if module is not None})
        if modules:
            around = graph.tree.common_ancestor(modules)
            module = around or nearest[1] or modules[-1]  # the root tells less than the reader
            result[position] = Charge(module, nodes=(), reason=None)
    return result


def _nearest(
    position: int, edges: Sequence[Sequence[int]], charges: Sequence[Charge]
) -> str | None:
    """The module of the nearest charged layer in one direction."""
    visited, pending = {position}, list(edges[position])
    while pending:
        other = pending.pop(0)
        if charges[other].module is not None:
            return charges[other].module
        if other not in visited:
            visited.add(other)
            pending += edges[other]
    return None
