"""How an analysis is printed: tree, summary, table, markdown, csv; of one file or of several."""

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from modelexport.cli.render_module_table import module_table
from modelexport.cli.render_module_tree import module_tree
from modelexport.cli.tables import Grid, known_part, list_counts, plural, short_count
from modelexport.support.visible_text import markdown_text, visible_line

if TYPE_CHECKING:
    from modelexport.rewriter import Analysis

Analyses = Sequence["Analysis"]


def _tagged(analysis: "Analysis") -> str:
    kinds = list_counts(analysis.evidence, None)
    return f"{analysis.tagged} ({analysis.coverage:.1%})" + (f": {kinds}" if kinds else "")


_FACTS: dict[str, Callable[["Analysis"], str]] = {
    "file": lambda a: a.file,
    "producer": lambda a: a.producer or "unknown",
    "opset": lambda a: ", ".join(f"{domain} {version}" for domain, version in a.opset.items()),
    "ir version": lambda a: str(a.ir_version),
    "hierarchy": lambda a: (
        a.source or "none: nothing in it tells modules; annotate it with a record"
    ),
    "nodes": lambda a: str(a.nodes),
    "tagged": _tagged,
    "modules": lambda a: str(len(a.modules)),
    "functions": lambda a: str(a.functions),
    "parameters": lambda a: f"{a.parameters} ({short_count(a.parameters)})",
    "MACs": lambda a: known_part(a.macs, a.unknown_macs),
    "weight bytes": lambda a: short_count(a.weight_bytes),
    "value bytes": lambda a: known_part(a.activation_bytes, a.unknown_activations),
    "operators": lambda a: list_counts(a.op_types, None),
}
"""The lines of a summary."""


def trees(analyses: Analyses, *, every_module: bool) -> Iterator[RenderableType]:
    """The modules of each file as a tree.

    Args:
        analyses: The files.
        every_module: Whether equal siblings are shown one by one.
    """
    for analysis in analyses:
        if len(analyses) > 1:
            yield Text(visible_line(f"{analysis.file}:"), style="bold underline")
        if analysis.modules:
            yield module_tree(analysis, every_module=every_module)
        else:
            yield _summary(analysis)


def summaries(analyses: Analyses) -> Iterator[RenderableType]:
    """Each file as a whole; several in columns."""
    yield _summary(analyses[0]) if len(analyses) == 1 else _facts(analyses)


def tables(analyses: Analyses, *, every_module: bool) -> Iterator[RenderableType]:
    """A line for each module; several files side by side.

    Args:
        analyses: The files.
        every_module: Whether equal siblings are shown one by one.
    """
    if len(analyses) == 1 and not analyses[0].modules:
        yield _summary(analyses[0])
    else:
        yield module_table(analyses, every_module=every_module)


def markdown(analyses: Analyses, *, every_module: bool, unresolved: bool) -> str:
    """A document with the facts and the modules of the files.

    Args:
        analyses: The files.
        every_module: Whether equal siblings are shown one by one.
        unresolved: Whether the nodes without a module are listed, too.
    """
    parts = [_facts(analyses).markdown()]
    if any(analysis.modules for analysis in analyses):
        parts.append(module_table(analyses, every_module=every_module).markdown())
    for analysis in analyses if unresolved else ():
        rows = [
            [n.name, n.op_type, n.graph, str(n.position), n.reason] for n in analysis.unresolved
        ]
        grid = Grid(["node", "operator", "graph", ">position", "reason"], rows)
        parts += [markdown_text(f"{analysis.file}: nodes without a module"), grid.markdown()]
    return "\n\n".join(parts)


def unresolved_nodes(analyses: Analyses) -> Iterator[Text]:
    """The nodes without a module, a line each with the reason."""
    for analysis in analyses:
        count = plural(len(analysis.unresolved), "node")
        yield Text(visible_line(f"{analysis.file}: {count} without a module"))
        for node in analysis.unresolved:
            place = f"{node.graph}#{node.position}"
            line = f"  {place} {node.name} ({node.op_type}): {node.reason}"
            yield Text(visible_line(line))


def _summary(analysis: "Analysis") -> Text:
    """One file as a whole, a line for each fact."""
    text = Text()
    for name, fact in _FACTS.items():
        text.append(f"{name:<12}", style="bold").append(f" {visible_line(fact(analysis))}\n")
    text.rstrip()
    return text


def _facts(analyses: Analyses) -> Grid:
    """A column for each file, with its name as the head."""
    facts = {name: fact for name, fact in _FACTS.items() if name != "file"}
    rows = [[name, *(fact(analysis) for analysis in analyses)] for name, fact in facts.items()]
    return Grid(["", *(analysis.file for analysis in analyses)], rows)


_CSV_COLUMNS = (
    *("tag", "path", "class", "own_nodes", "nodes", "own_parameters", "parameters", "share"),
    *("macs", "unknown_macs", "weight_bytes", "activation_bytes", "unknown_activations"),
    *("op_types", "file"),
)


def write_csv(analyses: Analyses) -> None:
    """Write a line for each module to standard output, numbers in full and nothing left out."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for analysis in analyses:
        for row in analysis.modules:
            operators = " ".join(f"{name}:{count}" for name, count in row.op_types.items())
            counts = [row.own_nodes, row.nodes, row.own_parameters, row.parameters]
            costs = [row.macs, row.unknown_macs, row.weight_bytes]
            costs += [row.activation_bytes, row.unknown_activations]
            figures = [*counts, f"{row.share:.6f}", *costs]
            texts = map(visible_line, (operators, analysis.file))
            names = map(visible_line, (row.tag, row.path, row.class_name))
            writer.writerow([*names, *figures, *texts])
