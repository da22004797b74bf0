"""How a notebook shows an analysis and a comparison: as HTML of its own, nothing is fetched."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from modelexport.rewriter.analysis.selecting import nested, short_name

if TYPE_CHECKING:
    from modelexport.rewriter.analysis.analyzing import Analysis
    from modelexport.rewriter.analysis.totals import ModuleRow
    from modelexport.rewriter.comparison import Comparison

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


def comparison_html(comparison: "Comparison") -> str:
    """The modules that differ, and where the numbers part."""
    verdict = "no difference was found" if comparison.same else "they differ"
    if comparison.module is not None:
        verdict += f" in {comparison.module}"
    parts = [f"<div>{escape(f'{comparison.a.file} and {comparison.b.file}: {verdict}')}</div>"]
    heads = ["module", "", "nodes", "gained", "lost"]
    rows = (
        [row.tag, row.status, f"{row.nodes_a} → {row.nodes_b}", _ops(row.gained), _ops(row.lost)]
        for row in comparison.changes()
    )
    parts.append(_table(heads, rows))
    if comparison.numeric is not None:
        values = (
            [v.tag, v.a_op, f"{v.max_abs:.3g}", "" if v.relative is None else f"{v.relative:.3g}"]
            for v in comparison.numeric.values
        )
        parts.append(_table(["module", "operator", "max abs", "relative"], values))
    return f'<div style="{_LINE}">{"".join(parts)}</div>'


def _ops(counts: dict[str, int]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in counts.items())


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = "".join(_cells("td", row) for row in rows)
    return f"<table>{_cells('th', heads)}{lines}</table>" if lines else ""


def _cells(kind: str, texts: Sequence[str]) -> str:
    return f"<tr>{''.join(_each(kind, texts))}</tr>"


def _each(kind: str, texts: Sequence[str]) -> Iterator[str]:
    style = ' style="text-align:left"'
    return (f"<{kind}{style}>{escape(text)}</{kind}>" for text in texts)
