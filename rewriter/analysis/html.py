"""How a notebook shows an analysis: as HTML of its own, nothing is fetched."""

from html import escape
from typing import TYPE_CHECKING

from modelexport.rewriter.analysis.selecting import nested, short_name

if TYPE_CHECKING:
    from modelexport.rewriter.analysis.analyzing import Analysis
    from modelexport.rewriter.analysis.totals import ModuleRow

_OPEN_DEPTH = 2
_OPS_SHOWN = 4
_LINE = "font-family:monospace"
_FAINT = "opacity:.7"


def analysis_html(analysis: "Analysis") -> str:
    """The tree of modules, to be opened one by one."""
    head = f"{analysis.file}: {analysis.nodes} nodes, {analysis.tagged} tagged"
    below = nested(analysis.modules)
    inside = "".join(_branch(row, None, below) for row in below.get(None, ()))
    return f'<div style="{_LINE}"><div>{escape(head)}</div>{inside}</div>'


def _branch(row: "ModuleRow", above: str | None, below: dict[str | None, list["ModuleRow"]]) -> str:
    children = below.get(row.tag, ())
    label = _label(row, short_name(row, above))
    if not children:
        return f'<div style="margin-left:1.2em">{label}</div>'
    inside = "".join(_branch(child, row.tag, below) for child in children)
    state = " open" if row.depth < _OPEN_DEPTH else ""
    return f'<details style="margin-left:1em"{state}><summary>{label}</summary>{inside}</details>'


def _label(row: "ModuleRow", name: str) -> str:
    ops = [f"{kind} {count}" for kind, count in list(row.op_types.items())[:_OPS_SHOWN]]
    facts = [f"{row.nodes} nodes"]
    if row.parameters:
        facts.append(f"{row.parameters} parameters")
    text = escape(", ".join([*facts, *ops]))
    kind = f" {escape(row.class_name)}" if row.class_name and row.class_name != name else ""
    return f'<b>{escape(name)}</b>{kind} <span style="{_FAINT}">{text}</span>'
