"""Draws which modules a file's nodes, parameters and multiply-accumulates are in.

    modelexport analyze net.annotated.onnx --depth 2 --output-format json > analysis.json
    python benchmarks/module_figure.py analysis.json modules.svg

A row is a module of the analysis and holds what is below it; what is drawn is its share of the
whole file. Rows that have others below them are lighter: these repeat what they hold.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import msgspec
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from modelexport.rewriter import Analysis, ModuleRow
from modelexport.rewriter.analysis.row_tree import children_by_tag, short_name

_LEAF, _HOLDER, _INK = "#2f6fab", "#b9d2e8", "#333333"
_ROW_HEIGHT, _PANEL_WIDTH, _INDENT, _LETTER = 0.24, 2.2, 0.16, 0.075
"""Inches."""


class Measure(NamedTuple):
    """What a panel shows.

    Attributes:
        title: Over the panel.
        of: Name of the count, of a row and of the whole file.
    """

    title: str
    of: str


MEASURES = (
    Measure("nodes", "nodes"),
    Measure("parameters", "parameters"),
    Measure("multiply-accumulates", "macs"),
)


def main() -> int:
    """Read an analysis and draw it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("analysis", type=Path, help="what analyze --output-format json printed")
    parser.add_argument("figure", type=Path, help="where the figure goes: .svg or .png")
    options = parser.parse_args()
    analysis = msgspec.json.decode(options.analysis.read_bytes(), type=Analysis)
    if not analysis.modules:
        sys.exit(f"{options.analysis}: it has no modules to draw.")
    # no date and no random names: the same analysis gives the same bytes; text stays text
    look = {"svg.hashsalt": analysis.file, "svg.fonttype": "none", "font.size": 8}
    with mpl.rc_context(look):
        drawn = draw(analysis)
        metadata = {"Date": None} if options.figure.suffix == ".svg" else {}
        drawn.savefig(options.figure, metadata=metadata, dpi=150, facecolor="white")
    return 0


def draw(analysis: Analysis) -> Figure:
    """The names of the modules, and for each measure a panel with a bar for each of them."""
    called = _names(analysis.modules)
    widths = [max(_INDENT * indent + _LETTER * len(name) for indent, name in called)]
    widths += [_PANEL_WIDTH] * len(MEASURES)
    height = 0.5 + _ROW_HEIGHT * len(called)
    figure = Figure(figsize=(sum(widths), height), layout="constrained")
    names, *panels = figure.subplots(1, len(widths), sharey=True, width_ratios=widths)
    names.set_xlim(0, widths[0])
    for place, (indent, name) in enumerate(called):
        names.text(_INDENT * indent, place, name, va="center", color=_INK)
    for panel, measure in zip(panels, MEASURES, strict=True):
        _bars(panel, analysis, measure)
    for panel in (names, *panels):
        panel.set_xticks([])
        panel.tick_params(axis="y", length=0, labelleft=False)
        panel.spines[:].set_visible(False)
    names.set_ylim(len(called) - 0.4, -0.6)
    return figure


def _names(rows: list[ModuleRow]) -> list[tuple[int, str]]:
    """The indent of each row below the topmost one, and its name below its parent."""
    labels: dict[str, tuple[int, str]] = {}
    children = children_by_tag(rows)
    waiting: list[tuple[str | None, int]] = [(None, 0)]
    while waiting:
        above, indent = waiting.pop()
        for tag in children.get(above, ()):
            labels[tag] = indent, short_name(tag, above)
            waiting.append((tag, indent + 1))
    return [labels[row.tag] for row in rows]


def _bars(panel: Axes, analysis: Analysis, measure: Measure) -> None:
    whole = getattr(analysis, measure.of)
    shares = [getattr(row, measure.of) / whole if whole else 0.0 for row in analysis.modules]
    holders = children_by_tag(analysis.modules)
    colours = [_HOLDER if row.tag in holders else _LEAF for row in analysis.modules]
    bars = panel.barh(range(len(shares)), [100 * share for share in shares], color=colours)
    panel.bar_label(bars, [f"{share:.1%}" if share else "" for share in shares], padding=2)
    title = f"{whole:,} {measure.title}"
    if measure.of == "macs" and analysis.unknown_macs:
        title += f" ({analysis.unknown_macs:,} nodes unknown)"
    panel.set_title(title, loc="left", fontsize=8, color=_INK)
    panel.set_xlim(0, 122)  # room for the label of the longest bar


if __name__ == "__main__":
    sys.exit(main())
