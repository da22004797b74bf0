"""Printing the values that a numeric comparison found, one by one: as a table, a tree or CSV."""

import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.console import RenderableType
from rich.text import Text
from rich.tree import Tree

from modelexport.cli.render_comparison import text
from modelexport.cli.render_errors import number
from modelexport.cli.tables import Grid
from modelexport.hierarchy.choices import ComparisonFormat
from modelexport.rewriter import Comparison, ModelComparison, ValueStatus
from modelexport.support.visible_text import visible_line

AnyComparison = Comparison | ModelComparison

_STYLES = {
    ValueStatus.EQUAL: "green",
    ValueStatus.PERMUTED: "green",
    ValueStatus.NO_NODE: "dim",
    ValueStatus.DIVERGES: "red",
}


class ValueRow(NamedTuple):
    """One value that a module returns, on both sides.

    Attributes:
        tag: The module.
        status: What the second side holds.
        begins: Whether divergence begins here.
        value: The value in the second file; "" without one.
        op_type: The operator that computes it.
        shape: Its shape on the first side.
        max_abs: Greatest absolute difference of elements.
        relative: Norm of the difference over the norm of the value.
        cosine: Cosine of the angle between both.
        snr_db: Signal to noise ratio in decibels.
        remark: The order of axes, or why there is no such value.
    """

    tag: str
    status: ValueStatus
    begins: bool
    value: str
    op_type: str
    shape: str
    max_abs: float | None
    relative: float | None
    cosine: float | None
    snr_db: float | None
    remark: str


def value_rows(result: AnyComparison) -> list[ValueRow]:
    """The values of a numeric comparison, in the order of the first side."""
    if isinstance(result, ModelComparison):
        return list(_rows_of_run(result))
    return [] if result.numeric is None else list(_rows_of_files(result))


def value_parts(
    result: AnyComparison, output_format: ComparisonFormat, *, every: bool
) -> Iterator[RenderableType]:
    """The verdict in one line, and the values.

    Args:
        result: A numeric comparison.
        output_format: `tree` or `table`.
        every: Whether values that do not diverge are listed, too. The tree has all.
    """
    yield next(iter(text(result, every=False)))
    rows = value_rows(result)
    if output_format is ComparisonFormat.TREE:
        yield from value_trees(rows)
        return
    shown = [row for row in rows if every or row.status is ValueStatus.DIVERGES]
    if shown:
        yield value_table(shown)


def _rows_of_run(result: ModelComparison) -> Iterator[ValueRow]:
    for row in result.modules:
        yield ValueRow(
            row.tag,
            row.status,
            row.begins,
            row.value or "",
            row.op_type or "",
            "x".join(map(str, row.shape)),
            *(row.max_abs, row.relative, row.cosine, row.snr_db),
            row.reason or _axes(row.layout),
        )


def _rows_of_files(result: Comparison) -> Iterator[ValueRow]:
    assert result.numeric is not None
    for value in result.numeric.values:
        yield ValueRow(
            value.tag,
            value.status,
            value.begins,
            value.b,
            value.b_op,
            "x".join(map(str, value.shape)),
            *(value.max_abs, value.relative, value.cosine, value.snr_db),
            _axes(value.layout),
        )
    for missing in result.numeric.unaligned:
        if missing.file == "a":
            nothing = (None, None, None, None)
            status = ValueStatus.NO_NODE
            yield ValueRow(missing.tag, status, False, "", missing.op, "", *nothing, missing.reason)


def _axes(layout: str | None) -> str:
    if layout is None:
        return ""
    return f"axes in the order {layout}" if layout else "in another order"


def value_table(rows: Sequence[ValueRow]) -> Grid:
    """A line for each value."""
    heads = [
        *("module", "status", "value", "operator", ">shape"),
        *(">max abs", ">relative", ">cosine", ">SNR dB", "remark"),
    ]
    cells = [
        [
            f"{row.tag} (begins)" if row.begins else row.tag,
            *(row.status, row.value, row.op_type, row.shape),
            *(number(row.max_abs, ".3g"), number(row.relative, ".3g")),
            *(number(row.cosine, ".6f"), number(row.snr_db, ".1f"), row.remark),
        ]
        for row in rows
    ]
    return Grid(heads, cells, ["remark", "operator", ">cosine", "value", ">shape", ">max abs"])


def value_trees(rows: Sequence[ValueRow]) -> Iterator[Tree]:
    """The modules as trees, each with the worst of what it returns.

    Modules without a value that is listed stand where they hold others.
    """
    worst: dict[str, ValueRow] = {}
    for row in rows:
        before = worst.get(row.tag)
        if before is None or _badness(row) > _badness(before):
            worst[row.tag] = row
    roots: dict[str, Tree] = {}
    nodes: dict[str, Tree] = {}
    for tag in worst:
        steps = tag.removeprefix("/").split("/")
        above: Tree | None = None
        for depth, step in enumerate(steps, 1):
            path = "/" + "/".join(steps[:depth])
            if path not in nodes:
                label = _label(step, worst.get(path))
                nodes[path] = Tree(label) if above is None else above.add(label)
                if above is None:
                    roots[path] = nodes[path]
            above = nodes[path]
    yield from roots.values()


def _badness(row: ValueRow) -> tuple[bool, bool, float]:
    return row.status is ValueStatus.DIVERGES, row.begins, row.relative or 0.0


def _label(step: str, row: ValueRow | None) -> Text:
    label = Text(visible_line(step), style="bold", no_wrap=True, overflow="ellipsis")
    if row is not None:
        label.append(f"  {row.status}", style=_STYLES[row.status])
        if row.begins:
            label.append(" (begins)", style="bold red")
        if row.relative is not None:
            label.append(f"  {row.relative:.3g}", style="yellow")
        if row.remark:
            label.append(visible_line(f"  {row.remark}"), style="dim")
    return label


def write_value_csv(results: Mapping[str, AnyComparison]) -> None:
    """Write a line for each value to standard output, numbers in full.

    Args:
        results: The comparisons by the role of the part; "" for that of two files.
    """
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*ValueRow._fields, "part"])
    for part, result in results.items():
        for row in value_rows(result):
            cells = (visible_line(c) if isinstance(c, str) else c for c in row)
            writer.writerow([*cells, part])
