"""An analysis as HTML for notebooks, complete in itself: nothing is fetched."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from modelexport.rewriter.analysis.equal_siblings import (
    GroupMember,
    ModuleGroup,
    group_equal_siblings,
)
from modelexport.rewriter.analysis.row_tree import short_name

if TYPE_CHECKING:
    from modelexport.rewriter.analysis.results import Analysis, ModuleRow

_OPEN_DEPTH = 2
"""Modules that are fewer steps below the root are open at first; runs of equal ones never are."""
_OPERATORS = 4
"""The most operators that are listed of a module."""
_FONT = "font-family:monospace"
_FAINT = "opacity:.7"


def analysis_html(analysis: "Analysis") -> str:
    """The tree of modules, to be opened module by module.

    A run of equal siblings is one entry; opening it shows its modules.
    """
    title = f"{analysis.file}: {analysis.nodes} nodes, {analysis.tagged} tagged"
    tree = _Tree(analysis.modules).html(group_equal_siblings(analysis.modules), None)
    return f'<div style="{_FONT}"><div>{escape(title)}</div>{tree}</div>'


class _Tree:
    """Writes groups of modules as HTML.

    Args:
        rows: The modules.
    """

    def __init__(self, rows: Sequence["ModuleRow"]) -> None:
        self._rows = {row.tag: row for row in rows}

    def html(self, groups: Sequence[ModuleGroup], parent: str | None) -> str:
        """The groups below a module, one after the other."""
        return "".join(self._group(group, parent) for group in groups)

    def _group(self, group: ModuleGroup, parent: str | None) -> str:
        members = "".join(self._member(member, parent) for member in group.members)
        if len(group.members) == 1:
            return members
        row, count = self._rows[group.first.tag], len(group.members)
        text = f"{_facts(row.times(count))}; each {_facts(row)}"
        label = _label(f"{group.name}: {count} x {row.class_name or 'modules'}", "", text)
        return _entry(label, members)

    def _member(self, member: GroupMember, parent: str | None) -> str:
        row, name = self._rows[member.tag], short_name(member.tag, parent)
        class_name = row.class_name if row.class_name != name else ""
        label = _label(name, class_name, ", ".join([_facts(row), *_operators(row)]))
        below = self.html(member.groups, member.tag)
        return _entry(label, below, is_open=row.depth < _OPEN_DEPTH)


def _entry(label: str, below: str, *, is_open: bool = False) -> str:
    """A line, which can be opened where something is below it."""
    if not below:
        return f'<div style="margin-left:1.2em">{label}</div>'
    state = " open" if is_open else ""
    return f'<details style="margin-left:1em"{state}><summary>{label}</summary>{below}</details>'


def _label(name: str, class_name: str, facts: str) -> str:
    class_text = f" {escape(class_name)}" if class_name else ""
    return f'<b>{escape(name)}</b>{class_text} <span style="{_FAINT}">{escape(facts)}</span>'


def _facts(row: "ModuleRow") -> str:
    parameters = f", {row.parameters} parameters" if row.parameters else ""
    return f"{row.nodes} nodes{parameters}"


def _operators(row: "ModuleRow") -> list[str]:
    return [f"{name} {count}" for name, count in list(row.op_types.items())[:_OPERATORS]]
