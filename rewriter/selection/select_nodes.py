"""Choosing nodes of a file by module, class, operator and source line."""

from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Unpack

from modelexport.errors import NoSuchModuleError, UsageError
from modelexport.hierarchy.place_options import PlaceKeywords
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.graph.texts import require_text
from modelexport.rewriter.selection.module_calls import (
    ModuleCall,
    about_covering,
    covering_nodes,
    match_modules,
    nodes_of_calls,
)
from modelexport.rewriter.selection.results import SelectedNode, Selection
from modelexport.rewriter.selection.source_line_filter import nodes_of_lines
from modelexport.support.gc_pause import gc_paused

_NAMES = "`annotate --inject names` gives every node a name of its own"


@gc_paused()
def select_nodes(
    path: str | Path,
    modules: Collection[str] = (),
    *,
    classes: Collection[str] = (),
    op_types: Collection[str] = (),
    lines: Collection[str] = (),
    inverted: bool = False,
    partly: bool = False,
    **placement: Unpack[PlaceKeywords],
) -> Selection:
    """Choose the nodes of some modules.

    A module stands for all modules inside it. Several modules add up, and so do several classes
    or operators or lines. A node must fit all of these kinds, as far as they are given.

    Args:
        path: An annotated file; any file of the model with `record` or `inherit_from`.
        modules: Paths or tags of modules, patterns of them (`encoder.layer.*`) or ranges
            (`encoder.layer.0-2`); `PATH@1` is the second call of a module.
        classes: Names of module classes, or patterns of them.
        op_types: Operators; with a domain as `com.microsoft::FusedMatMul`.
        lines: Lines of Python (`FILE:N`, `FILE:N-M`, or `FILE` for all of them): a node fits when
            one of the lines behind it is among them. FILE may be the end of a path.
        inverted: Choose all other nodes instead.
        partly: Also choose fused nodes outside the modules that do some of their work.
        placement: How the modules are found, see `PlaceOptions`: `record`, `inherit_from`, `run`,
            `libraries`, `memory`.

    Examples:
        >>> from modelexport import select_nodes
        >>> selection = select_nodes("net.annotated.onnx", ["layer.1"])
        >>> sorted({node.module for node in selection.nodes})
        ['layer.1', 'layer.1.fc']

    Returns:
        The nodes. There may be none without a name, see `Selection.without_name`.

    Raises:
        FileProblem: A file cannot be read.
        ForeignRecordError: The record is of another model.
        NoSuchModuleError: There is no such module, class or operator, or the selection is empty.
        UsageError: Nothing is asked for, or there is no such line.
    """
    if not (modules or classes or op_types or lines):
        raise UsageError("select needs --module, --class, --op-type or --line.")
    with PlacedFile.open(path, **placement) as file:
        calls = [call for pattern in modules for call in match_modules(file, pattern)]
        nodes = set(range(len(file.graph)))
        notes = list(file.notes)
        if modules:
            nodes, about = _nodes_of(file, calls, partly=partly)
            notes += about
        if classes:
            of_classes = list(_modules_of_classes(file, classes))
            with_class, about = _nodes_of(file, of_classes, partly=partly)
            nodes &= with_class
            notes += about
        if lines:
            nodes &= nodes_of_lines(file, lines)
        if op_types:
            nodes &= _nodes_of_operators(file, op_types)
        if inverted:
            nodes = set(range(len(file.graph))) - nodes
        if not nodes:
            hints = notes[len(file.notes) :] or ["`analyze` shows the modules and their nodes"]
            raise NoSuchModuleError(f"{file.path}: no node is selected; {'; '.join(hints)}.")
        return _selection(file, nodes, list(map(str, calls)), notes)


def _modules_of_classes(file: PlacedFile, classes: Collection[str]) -> Iterator[ModuleCall]:
    for pattern in classes:
        matches = [m.path for m in file.tree if fnmatchcase(m.class_name, pattern)]
        if not matches:
            names = ", ".join(sorted({m.class_name for m in file.tree if m.class_name}))
            raise NoSuchModuleError(
                f"{file.path}: no module is a {pattern}; its classes are {names}."
            )
        yield from (ModuleCall(file.tree.canonical(path)) for path in matches)


def _nodes_of(
    file: PlacedFile, calls: list[ModuleCall], *, partly: bool
) -> tuple[set[int], list[str]]:
    """The nodes of modules; and a note if fused nodes do some of their work and are left out."""
    nodes = nodes_of_calls(file, calls)
    covering = covering_nodes(file, calls) - nodes
    if partly or not covering:
        return nodes | covering, []
    return nodes, [about_covering(file, covering)]


def _nodes_of_operators(file: PlacedFile, op_types: Collection[str]) -> set[int]:
    nodes = {number for number, name in enumerate(file.op_types) if name in op_types}
    if not nodes:
        names = ", ".join(sorted(set(file.op_types)))
        raise NoSuchModuleError(
            f"{file.path}: no node is a {' or '.join(op_types)}; its operators are {names}."
        )
    return nodes


def _selection(
    file: PlacedFile, chosen: set[int], modules: list[str], notes: list[str]
) -> Selection:
    nodes = [_selected_node(file, number) for number in sorted(chosen)]
    others = {n.name for number, n in enumerate(file.graph.nodes) if number not in chosen}
    without_name = sum(1 for node in nodes if not node.name)
    shared = sorted({node.name for node in nodes if node.name} & others)
    if without_name:
        notes.append(f"{without_name} of {len(nodes)} selected nodes have no name: {_NAMES}")
    if shared:
        notes.append(
            f"{len(shared)} names are also those of nodes that are not selected "
            f"({', '.join(shared[:3])}): {_NAMES}"
        )
    if file.file.folded:
        notes.append(
            "the file has functions: the names are those of the file that "
            "`strip --functions` writes"
        )
    return Selection(file.path.name, len(file.graph), nodes, modules, without_name, shared, notes)


def _selected_node(file: PlacedFile, number: int) -> SelectedNode:
    key, node = file.graph.keys[number], file.graph.nodes[number]
    require_text(node.name)
    return SelectedNode(
        node.name,
        file.op_types[number],
        key.graph,
        key.position,
        file.modules[number],
        file.tag(number),
        file.source_lines[number],
    )
