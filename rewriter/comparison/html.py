"""How a notebook shows a comparison: as HTML of its own, nothing is fetched."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelexport.rewriter.comparison.results import Comparison

_LINE = "font-family:monospace"


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
