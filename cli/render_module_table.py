"""The modules of one file or of several as a table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from modelexport.cli.tables import Grid, known_part, list_counts, short_count

if TYPE_CHECKING:
    from modelexport.rewriter import Analysis, ModuleRow
    from modelexport.rewriter.analysis.equal_siblings import GroupLine

_MODULE_HEADS = (
    *("class", ">own", ">nodes", ">params", ">share"),
    *(">MACs", ">weight bytes", ">value bytes", "operators"),
)
_OPTIONAL_HEADS = ("operators", ">value bytes", ">weight bytes", "class", ">own", ">share", ">MACs")


def module_table(analyses: Sequence["Analysis"], *, every_module: bool) -> Grid:
    """A line for each module; several files side by side.

    A run of equal siblings has two lines: the figures of all its modules together ("all 6"), and
    those of each ("1 of 6"). A module below a run has one line for all that are equal to it.

    Args:
        analyses: The files. Modules are in the order of the first; what only others have follows.
        every_module: Whether equal siblings are shown one by one.
    """
    from modelexport.rewriter.analysis.equal_siblings import (  # noqa: PLC0415 - loads with the analysis itself
        group_equal_siblings,
        list_groups,
    )

    files = [{row.tag: row for row in analysis.modules} for analysis in analyses]
    places = {tag: place for place, tag in enumerate(dict.fromkeys(t for f in files for t in f))}
    groups = group_equal_siblings(*(a.modules for a in analyses), every_module=every_module)
    lines = sorted(list_groups(groups), key=lambda line: places[line.first])
    heads, optional = _heads(analyses)
    cells = []
    for line in lines:
        rows = [file.get(line.first) for file in files]
        if line.siblings > 1:
            total = [None if row is None else row.times(line.modules) for row in rows]
            cells.append([line.tag, f"all {line.modules}", *_cells(total)])
        cells.append([line.tag, _share_of_run(line), *_cells(rows)])
    if all(line.modules == 1 for line in lines):
        heads.remove("modules")
        cells = [[tag, *figures] for tag, _, *figures in cells]
    return Grid(heads, cells, optional)


def _share_of_run(line: "GroupLine") -> str:
    return f"1 of {line.modules}" if line.modules > 1 else ""


def _heads(analyses: Sequence["Analysis"]) -> tuple[list[str], list[str]]:
    """The heads, and those of the columns that a narrow terminal may leave out."""
    if len(analyses) == 1:
        return ["module", "modules", *_MODULE_HEADS], list(_OPTIONAL_HEADS)
    names = [analysis.file for analysis in analyses]
    heads = [f">{name}: {figure}" for name in names for figure in ("nodes", "MACs", "bytes")]
    optional = [f">{name}: {figure}" for figure in ("bytes", "MACs") for name in names]
    return ["module", "modules", *heads], optional


def _cells(rows: Sequence["ModuleRow | None"]) -> list[str]:
    """What follows the module: all of one file, or the most important of each of several."""
    if len(rows) == 1:
        return [] if rows[0] is None else _all_cells(rows[0])
    return [cell for row in rows for cell in _main_cells(row)]


def _all_cells(row: "ModuleRow") -> list[str]:
    return [
        row.class_name,
        str(row.own_nodes),
        str(row.nodes),
        short_count(row.parameters),
        f"{row.share:.1%}",
        known_part(row.macs, row.unknown_macs),
        short_count(row.weight_bytes),
        known_part(row.activation_bytes, row.unknown_activations),
        list_counts(row.op_types),
    ]


def _main_cells(row: "ModuleRow | None") -> tuple[str, str, str]:
    if row is None:
        return ("-", "-", "-")
    macs = known_part(row.macs, row.unknown_macs)
    return str(row.nodes), macs, short_count(row.weight_bytes)
