"""A comparison as HTML for notebooks; it loads nothing from elsewhere."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelexport.rewriter.comparison.results import Comparison

_STYLE = "font-family:monospace"


def comparison_html(comparison: "Comparison") -> str:
    """The modules that differ, and the values that were compared."""
    verdict = "no difference was found" if comparison.same else "they differ"
    if comparison.module is not None:
        verdict += f" in {comparison.module}"
    parts = [f"<div>{escape(f'{comparison.a.file} and {comparison.b.file}: {verdict}')}</div>"]
    headers = ["module", "", "nodes", "gained", "lost"]
    rows = (
        [
            row.tag,
            row.status,
            f"{row.nodes_a} → {row.nodes_b}",
            _counts(row.gained),
            _counts(row.lost),
        ]
        for row in comparison.changes()
    )
    parts.append(_table(headers, rows))
    if comparison.numeric is not None:
        values = (
            [v.tag, v.a_op, f"{v.max_abs:.3g}", "" if v.relative is None else f"{v.relative:.3g}"]
            for v in comparison.numeric.values
        )
        parts.append(_table(["module", "operator", "max abs", "relative"], values))
    return f'<div style="{_STYLE}">{"".join(parts)}</div>'


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in counts.items())


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = "".join(_row("td", row) for row in rows)
    return f"<table>{_row('th', headers)}{lines}</table>" if lines else ""


def _row(element: str, texts: Sequence[str]) -> str:
    style = ' style="text-align:left"'
    cells = (f"<{element}{style}>{escape(text)}</{element}>" for text in texts)
    return f"<tr>{''.join(cells)}</tr>"
