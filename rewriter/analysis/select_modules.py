"""Which modules of an analysis are shown, and in which order."""

from collections.abc import Callable, Sequence
from typing import Any

from modelexport.hierarchy.choices import ModuleOrder, parse_choice
from modelexport.rewriter.analysis.results import ModuleRow
from modelexport.rewriter.analysis.row_tree import rows_down_to
from modelexport.rewriter.annotation.find_module import no_such_module

_SORT_KEYS: dict[ModuleOrder, Callable[[ModuleRow], Any]] = {
    ModuleOrder.NAME: lambda row: row.tag,
    ModuleOrder.NODES: lambda row: -row.nodes,
    ModuleOrder.PARAMS: lambda row: -row.parameters,
    ModuleOrder.MACS: lambda row: -row.macs,
    ModuleOrder.BYTES: lambda row: -row.weight_bytes,
}


def select_modules(
    rows: Sequence[ModuleRow], module: str | None, depth: int | None, sort: str, file: str
) -> list[ModuleRow]:
    """The rows of one module and of those below it, down to a depth, in an order.

    Args:
        rows: All rows, in the model's order.
        module: Path or tag of the module; None for all rows.
        depth: How many steps below it rows are kept; None for all.
        sort: One of `ModuleOrder`.
        file: The file as errors name it.

    Raises:
        UsageError: There is no such module, or no such order.
    """
    selected = list(rows) if module is None else _rows_of_module(rows, module, file)
    if depth is not None:
        selected = rows_down_to(selected, depth)
    order = parse_choice(ModuleOrder, sort, "order of modules")
    return selected if order is ModuleOrder.MODEL else sorted(selected, key=_SORT_KEYS[order])


def _rows_of_module(rows: Sequence[ModuleRow], module: str, file: str) -> list[ModuleRow]:
    """The row of a module and those below it; of a list without a row, those of its modules."""
    top = next((row for row in rows if module in {row.tag, row.path}), None)
    if top is not None:
        tags = {top.tag}
        for row in rows:  # parents stand before what is below them
            if row.parent in tags:
                tags.add(row.tag)
        return [row for row in rows if row.tag in tags]
    stem = f"{module}."
    selected = [row for row in rows if row.tag.startswith(stem) or row.path.startswith(stem)]
    if selected:
        return selected
    names = [row.path for row in rows if row.path] + [row.tag for row in rows]
    raise no_such_module(module, names, file)
