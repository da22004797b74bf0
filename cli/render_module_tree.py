"""The modules of a file as a tree, for terminals and pipes."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from modelexport.cli.tables import known_part, list_counts, plural, short_count
from modelexport.support.visible_text import visible_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelexport.rewriter import Analysis, ModuleRow
    from modelexport.rewriter.analysis.equal_siblings import ModuleGroup


def module_tree(analysis: "Analysis", *, every_module: bool) -> RenderableType:
    """The modules with class, nodes, parameters and share, multiply-accumulates, operators.

    A run of equal siblings is one entry with the figures of all and of each; below it are
    the modules of its first.

    Args:
        analysis: A file with modules.
        every_module: Whether equal siblings are shown one by one.
    """
    from modelexport.rewriter.analysis.equal_siblings import group_equal_siblings  # noqa: PLC0415 - loads with the analysis itself

    rows = {row.tag: row for row in analysis.modules}
    groups = group_equal_siblings(analysis.modules, every_module=every_module)
    trees = [_branch(group, rows) for group in groups]
    if len(trees) > 1:
        return Group(*trees)
    untagged = analysis.nodes - analysis.tagged
    if untagged and analysis.modules[0].depth == 0:
        operators = list_counts(analysis.untagged_op_types)
        trees[0].add(_line(f"(without a tag)  {plural(untagged, 'node')}  {operators}"))
    return trees[0]


def _branch(group: "ModuleGroup", rows: "Mapping[str, ModuleRow]") -> Tree:
    """A group, and below it what is below its first module."""
    tree = Tree(_label(group, rows))
    pending = [(tree, group)]
    while pending:  # not recursive: modules may be thousands of steps deep
        branch, above = pending.pop()
        pending += [(branch.add(_label(child, rows)), child) for child in above.first.groups]
    return tree


def _label(group: "ModuleGroup", rows: "Mapping[str, ModuleRow]") -> Text:
    row, size = rows[group.first.tag], len(group.members)
    return _run_label(group.name, row, size) if size > 1 else _module_label(group.name, row)


def _module_label(name: str, row: "ModuleRow") -> Text:
    label = _line(name, style="bold")
    if row.class_name and row.class_name != name:
        label.append(visible_line(f" {row.class_name}"), style="cyan")
    return label.append(_figures(row)).append(_operators(row))


def _run_label(name: str, row: "ModuleRow", size: int) -> Text:
    """Two lines: all modules of a run together, and each of them."""
    label = _line(name, style="bold").append(f": {size} x ")
    name = visible_line(row.class_name) or "modules"
    label.append(name, style="cyan").append(_figures(row.times(size)))
    return label.append("\neach").append(_figures(row)).append(_operators(row))


def _figures(row: "ModuleRow") -> Text:
    figures = Text(f"  {plural(row.nodes, 'node')}", style="green")
    if row.parameters:
        text = f"  {short_count(row.parameters)} params {row.share:.1%}"
        figures.append(text, style="yellow")
    if row.macs or row.unknown_macs:
        figures.append(f"  {known_part(row.macs, row.unknown_macs)} MACs", style="magenta")
    return figures


def _operators(row: "ModuleRow") -> Text:
    operators = visible_line(list_counts(row.op_types))
    return Text(f"  {operators}" if operators else "", style="dim")


def _line(text: str, style: str = "") -> Text:
    """Text that a narrow terminal cuts off, so that the tree stays a tree."""
    return Text(visible_line(text), style=style, no_wrap=True, overflow="ellipsis")
