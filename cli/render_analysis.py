"""How an analysis looks: tree, summary, table, csv, markdown; of one file or of several."""

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from modelexport.cli.tables import Grid, counted, human, plural

if TYPE_CHECKING:
    from modelexport.rewriter import Analysis, ModuleRow

Results = Sequence["Analysis"]

_UNKNOWN = "?"


def trees(results: Results) -> Iterator[Tree | Group | Text]:
    """Each file's modules as a tree: class, nodes, parameters and share, operators."""
    for result in results:
        if len(results) > 1:
            yield Text(f"{result.file}:", style="bold underline")
        yield _tree(result) if result.modules else _summary(result)


def _tree(analysis: "Analysis") -> Tree | Group:
    from modelexport.rewriter.analysis.selecting import nested  # noqa: PLC0415 - loads with the analysis itself

    below = nested(analysis.modules)
    tops = [_branches(row, None, below) for row in below[None]]
    whole = analysis.modules[0].depth == 0 and len(tops) == 1
    if whole and analysis.tagged < analysis.nodes:
        missing = analysis.nodes - analysis.tagged
        ops = counted(analysis.untagged_op_types)
        tops[0].add(Text(f"(without a tag)  {plural(missing, 'node')}  {ops}"))
    return tops[0] if len(tops) == 1 else Group(*tops)


def _branches(
    row: "ModuleRow", above: str | None, below: dict[str | None, list["ModuleRow"]]
) -> Tree:
    from modelexport.rewriter.analysis.selecting import short_name  # noqa: PLC0415 - loads with the analysis itself

    found = Tree(_label(row, short_name(row, above)))
    for child in below.get(row.tag, ()):
        found.children.append(_branches(child, row.tag, below))
    return found


def _label(row: "ModuleRow", name: str) -> Text:
    label = Text(name, style="bold")
    if row.class_name and row.class_name != name:
        label.append(f" {row.class_name}", style="cyan")
    label.append(f"  {plural(row.nodes, 'node')}", style="green")
    if row.parameters:
        label.append(f"  {human(row.parameters)} params {row.share:.1%}", style="yellow")
    if row.macs or row.unknown_macs:
        label.append(f"  {_partly(row.macs, row.unknown_macs)} MACs", style="magenta")
    if row.op_types:
        label.append(f"  {counted(row.op_types)}", style="dim")
    return label


def _partly(known: int, unknown: int) -> str:
    """A sum of which some parts may be unknown: it is at least the known ones."""
    if unknown and not known:
        return _UNKNOWN
    return human(known) + (f" + {_UNKNOWN}" if unknown else "")


def _tagged(analysis: "Analysis") -> str:
    kinds = ", ".join(f"{kind} {count}" for kind, count in analysis.evidence.items())
    return f"{analysis.tagged} ({analysis.coverage:.1%})" + (f": {kinds}" if kinds else "")


_FACTS: dict[str, Callable[["Analysis"], str]] = {
    "file": lambda a: a.file,
    "producer": lambda a: a.producer or "unknown",
    "opset": lambda a: ", ".join(f"{domain} {number}" for domain, number in a.opset.items()),
    "ir version": lambda a: str(a.ir_version),
    "hierarchy": lambda a: a.source or "none: annotate the file first",
    "nodes": lambda a: str(a.nodes),
    "tagged": _tagged,
    "modules": lambda a: str(len(a.modules)),
    "functions": lambda a: str(a.functions),
    "parameters": lambda a: f"{a.parameters} ({human(a.parameters)})",
    "MACs": lambda a: _partly(a.macs, a.unknown_macs),
    "weight bytes": lambda a: human(a.weight_bytes),
    "value bytes": lambda a: _partly(a.activation_bytes, a.unknown_activations),
    "operators": lambda a: counted(a.op_types, None),
}
"""What a summary says, a line each."""


def summaries(results: Results) -> Iterator[Text | Table]:
    """The file as a whole; several in columns."""
    yield _summary(results[0]) if len(results) == 1 else _facts(results).drawn()


def _summary(analysis: "Analysis") -> Text:
    text = Text()
    for name, say in _FACTS.items():
        text.append(f"{name:<12}", style="bold").append(f" {say(analysis)}\n")
    text.rstrip()
    return text


def _facts(results: Results) -> Grid:
    """The facts but for the names of the files, which are the heads."""
    rows = [[name, *(say(result) for result in results)] for name, say in _FACTS.items()]
    return Grid(["", *(result.file for result in results)], list(rows[1:]))


def tables(results: Results) -> Iterator[Text | Table]:
    """A row for each module; several files side by side."""
    if len(results) == 1 and not results[0].modules:
        yield _summary(results[0])
    else:
        yield _grid(results).drawn()


def _grid(results: Results) -> Grid:
    return _modules(results[0]) if len(results) == 1 else _beside(results)


def _modules(analysis: "Analysis") -> Grid:
    columns = ["module", "class", ">own", ">nodes", ">params", ">share", ">MACs"]
    grid = Grid([*columns, ">weight bytes", ">value bytes", "operators"])
    for row in analysis.modules:
        grid.rows.append(
            [row.tag, row.class_name, str(row.own_nodes), str(row.nodes), human(row.parameters),
             f"{row.share:.1%}", _partly(row.macs, row.unknown_macs), human(row.weight_bytes),
             _partly(row.activation_bytes, row.unknown_activations), counted(row.op_types)]
        )  # fmt: skip
    return grid


def _beside(results: Results) -> Grid:
    """What modules have in each file; those of the first in its order, then what others add."""
    heads = [f">{result.file}: {what}" for result in results for what in ("nodes", "MACs", "bytes")]
    rows = [{row.tag: row for row in result.modules} for result in results]
    tags = dict.fromkeys(tag for each in rows for tag in each)
    grid = Grid(["module", *heads])
    for tag in tags:
        cells = [cell for each in rows for cell in _figures(each.get(tag))]
        grid.rows.append([tag, *cells])
    return grid


def _figures(row: "ModuleRow | None") -> tuple[str, str, str]:
    if row is None:
        return ("-", "-", "-")
    return str(row.nodes), _partly(row.macs, row.unknown_macs), human(row.weight_bytes)


def unresolved(results: Results) -> Iterator[Text]:
    """The nodes without a module, a line each."""
    for result in results:
        yield Text(f"{result.file}: {plural(len(result.unresolved), 'node')} without a module")
        for node in result.unresolved:
            place = f"{node.graph}#{node.position}"
            yield Text(f"  {place} {node.name} ({node.op_type}): {node.reason}")


def markdown(results: Results, *, unresolved: bool) -> str:
    """A document: facts, modules, and the nodes without one when these are asked for."""
    parts = [_facts(results).markdown()]
    if any(result.modules for result in results):
        parts.append(_grid(results).markdown())
    for result in results if unresolved else ():
        open_nodes = Grid(["node", "operator", "graph", ">position", "reason"])
        open_nodes.rows = [
            [n.name, n.op_type, n.graph, str(n.position), n.reason] for n in result.unresolved
        ]
        parts += [f"{result.file}: nodes without a module", open_nodes.markdown()]
    return "\n\n".join(parts)


_COLUMNS = (
    *("tag", "path", "class", "own_nodes", "nodes", "own_parameters", "parameters", "share"),
    *("macs", "unknown_macs", "weight_bytes", "activation_bytes", "unknown_activations"),
    *("op_types", "file"),
)


def write_csv(results: Results) -> None:
    """A line for each module on standard output, numbers in full."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for result in results:
        for row in result.modules:
            kinds = " ".join(f"{name}:{count}" for name, count in row.op_types.items())
            counts = [row.own_nodes, row.nodes, row.own_parameters, row.parameters]
            costs = [row.macs, row.unknown_macs, row.weight_bytes]
            costs += [row.activation_bytes, row.unknown_activations]
            shown = [*counts, f"{row.share:.6f}", *costs, kinds, result.file]
            writer.writerow([row.tag, row.path, row.class_name, *shown])
