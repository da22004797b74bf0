"""The part that some modules make up: the nodes with their tags, and what ran with these.

By the tags alone, many parts of files that tools changed would not be convex. What is no gap:

- A node between two nodes of the part that only rounds or converts a value. Tools write one for
  all that read the value, so it may carry the tag of any of them.
- A node whose tag names a module around the part, or that has no tag, and that stands between nodes
  of one call. A call does not get back what it has given away, so the node ran in the call.
- A path that begins at a node of the part that only rounds or converts what comes from outside.
  Such a node can run twice: the part has a copy, and what else reads it has its own.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

from modelexport.errors import NoSuchModuleError, UsageError
from modelexport.hierarchy.graph_paths import MAIN
from modelexport.hierarchy.module_tree import Module, is_within
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.extraction.graph_parts import GraphPart, MainGraph
from modelexport.rewriter.graph.texts import gap_reason
from modelexport.rewriter.selection.module_calls import (
    ModuleCall,
    about_covering,
    covering_nodes,
)
from modelexport.support.error_texts import listed

_CONVERTING = {"QuantizeLinear", "DequantizeLinear", "Cast"}
"""Operators that tools write where a value needs another type. To run them twice costs little."""


def module_part(
    file: PlacedFile, graph: MainGraph, calls: Sequence[ModuleCall], chosen: Collection[int]
) -> tuple[GraphPart, list[str]]:
    """The part that some modules make up, and notes about nodes without their tags.

    Args:
        file: The file.
        graph: Its main graph.
        calls: The modules, or calls of them.
        chosen: Numbers of their nodes, those of subgraphs included.

    Raises:
        NoSuchModuleError: There are no nodes.
        UsageError: The part is not convex, or is a part of a subgraph.
    """
    label = listed([str(call) or "the root" for call in calls])
    if not chosen:
        covering = covering_nodes(file, calls)
        hint = f"; {about_covering(file, covering)}" if covering else ""
        raise NoSuchModuleError(f"{file.path}: {label}: no nodes in this file{hint}.")
    inside = _main_nodes(file, graph, chosen, label)
    between = graph.between(inside)
    if not _gaps(graph, between):
        return graph.convex_part(inside | between), []
    copies = _copies(graph, inside)
    core = inside - copies
    adopted = _within_calls(file, graph, calls, core)
    between = graph.between(core | adopted)
    if gaps := _gaps(graph, between):
        reason = gap_reason(map(graph.describe, gaps))
        notes = "".join(f" Note: {note}." for note in file.notes)
        raise UsageError(f"{file.path}: {label} cannot be cut out: {reason}{notes}")
    part = graph.convex_part(core | adopted | between, copies)
    names = listed(list(map(graph.describe, sorted(adopted))))
    note = f"the part also has nodes that ran between those of the module: {names}"
    return part, [note] if adopted else []


def _main_nodes(file: PlacedFile, graph: MainGraph, chosen: Iterable[int], label: str) -> set[int]:
    """Positions of the chosen nodes of the main graph."""
    keys = [file.graph.keys[number] for number in chosen]
    inside = {key.position for key in keys if key.graph == MAIN}
    holders = {holder for path in {key.graph for key in keys} for holder in graph.holders(path)}
    if not inside or holders - inside:
        raise UsageError(
            f"{file.path}: {label}: nodes run inside a branch, a loop or a function, and "
            "cannot be cut out of it."
        )
    return inside


def _gaps(graph: MainGraph, between: set[int]) -> list[int]:
    """Those of the nodes between nodes of a part that do more than to convert a value."""
    return sorted(p for p in between if graph.nodes[p].op_type not in _CONVERTING)


def _copies(graph: MainGraph, inside: set[int]) -> set[int]:
    """The nodes of a part that only convert what comes from outside; none if it has no others."""
    copies: set[int] = set()
    for position in graph.work:
        node = graph.nodes[position]
        if position not in inside or node.op_type not in _CONVERTING:
            continue
        computed = inside.intersection(graph.before(position)) - copies
        if not graph.returned.intersection(node.output) and all(
            graph.is_constant[source] for source in computed
        ):
            copies.add(position)
    return copies if any(not graph.is_constant[p] for p in inside - copies) else set()


def _within_calls(
    file: PlacedFile, graph: MainGraph, calls: Sequence[ModuleCall], core: set[int]
) -> set[int]:
    """The nodes between those of one call that are told to be of a module around it, or of none."""
    adopted: set[int] = set()
    for single in (single for call in calls for single in _single_calls(file, call)):
        own = core.intersection(file.nodes_of(single.path, single.call))

        def is_around(position: int, path: str = single.path) -> bool:
            module = file.modules[position]
            return module is None or (module != path and is_within(path, module))

        adopted |= graph.on_paths(own, is_around)
    return adopted - core


def _single_calls(file: PlacedFile, call: ModuleCall) -> Iterator[ModuleCall]:
    """A call as it is; of a module that is never called itself, the calls of those inside it."""
    if call.call is not None:
        yield call
        return
    module = file.tree[call.path]
    if module.calls == 1:
        yield call
    elif module.calls == 0:
        for child in _children(file, module):
            yield from _single_calls(file, ModuleCall(child.path))


def _children(file: PlacedFile, parent: Module) -> list[Module]:
    prefix = f"{parent.path}." if parent.path else ""
    return [
        module
        for module in file.tree
        if module.path.startswith(prefix) and module.path.rpartition(".")[0] == parent.path
    ]
