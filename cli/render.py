"""How an analysis looks: tree, summary, table, csv."""

import csv
import sys
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

if TYPE_CHECKING:
    from rewriter import Analysis, ModuleRow

_OPS_SHOWN = 4


def human(count: int) -> str:
    """A count that a person can take in.

    >>> human(22713216)
    '22.7M'
    """
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.1f}{unit}"
    return str(count)


def tree(analysis: "Analysis") -> Tree | Text:
    """The modules as a tree: class, nodes, parameters and share, operators."""
    if not analysis.modules:
        return summary(analysis)
    root = Tree(_label(analysis.modules[0], analysis.modules[0].tag.removeprefix("/")))
    open_rows: list[tuple[str, Tree]] = [(analysis.modules[0].tag, root)]
    for row in analysis.modules[1:]:
        while len(open_rows) > 1 and not row.tag.startswith(open_rows[-1][0] + "/"):
            open_rows.pop()
        above, branch = open_rows[-1]
        name = row.tag.removeprefix(above).lstrip("/.")
        open_rows.append((row.tag, branch.add(_label(row, name))))
    if analysis.tagged < analysis.nodes:
        missing = analysis.nodes - analysis.tagged
        root.add(Text(f"(without a tag)  {missing} nodes  {_ops(analysis.untagged_op_types)}"))
    return root


def _label(row: "ModuleRow", name: str) -> Text:
    label = Text(name, style="bold")
    if row.class_name and row.class_name != name:
        label.append(f" {row.class_name}", style="cyan")
    label.append(f"  {_plural(row.nodes, 'node')}", style="green")
    if row.parameters:
        label.append(f"  {human(row.parameters)} params {row.share:.1%}", style="yellow")
    if row.op_types:
        label.append(f"  {_ops(row.op_types)}", style="dim")
    return label


def _ops(counts: dict[str, int]) -> str:
    shown = [f"{name} {count}" for name, count in list(counts.items())[:_OPS_SHOWN]]
    rest = len(counts) - len(shown)
    return ", ".join([*shown, *([f"{rest} more"] if rest else [])])


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def summary(analysis: "Analysis") -> Text:
    """The file as a whole."""
    kinds = ", ".join(f"{kind} {count}" for kind, count in analysis.evidence.items())
    opsets = ", ".join(f"{domain} {number}" for domain, number in analysis.opset.items())
    operators = ", ".join(f"{name} {count}" for name, count in analysis.op_types.items())
    lines = {
        "file": analysis.file,
        "producer": analysis.producer or "unknown",
        "opset": opsets,
        "ir version": str(analysis.ir_version),
        "hierarchy": analysis.source or "none: annotate the file first",
        "nodes": str(analysis.nodes),
        "tagged": f"{analysis.tagged} ({analysis.coverage:.1%})" + (f": {kinds}" if kinds else ""),
        "modules": str(len(analysis.modules)),
        "parameters": f"{analysis.parameters} ({human(analysis.parameters)})",
        "operators": operators,
    }
    text = Text()
    for name, value in lines.items():
        text.append(f"{name:<11}", style="bold").append(f" {value}\n")
    text.rstrip()
    return text


def table(analysis: "Analysis") -> Group | Text:
    """A row for each module."""
    if not analysis.modules:
        return summary(analysis)
    found = Table(box=None, pad_edge=False, header_style="bold")
    found.add_column("module", no_wrap=True)
    found.add_column("class", no_wrap=True, style="cyan")
    for name in ("own", "nodes", "params", "share"):
        found.add_column(name, justify="right", no_wrap=True)
    found.add_column("operators", style="dim")
    for row in analysis.modules:
        numbers = (str(row.own_nodes), str(row.nodes), human(row.parameters), f"{row.share:.1%}")
        found.add_row(Text(row.tag), Text(row.class_name), *numbers, Text(_ops(row.op_types)))
    return Group(found)


def write_csv(analysis: "Analysis") -> None:
    """A line for each module on standard output, numbers in full."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(
        ["tag", "path", "class", "own_nodes", "nodes", "own_parameters", "parameters", "share",
         "op_types"]
    )  # fmt: skip
    for row in analysis.modules:
        kinds = " ".join(f"{name}:{count}" for name, count in row.op_types.items())
        counts = [row.own_nodes, row.nodes, row.own_parameters, row.parameters]
        writer.writerow([row.tag, row.path, row.class_name, *counts, f"{row.share:.6f}", kinds])
