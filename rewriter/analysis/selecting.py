"""Which modules of an analysis are shown, and in which order."""

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Literal

from modelexport.errors import UsageError
from modelexport.rewriter.analysis.totals import ModuleRow

Sort = Literal["model", "name", "nodes", "params", "macs", "bytes"]

_KEYS: dict[str, Callable[[ModuleRow], Any]] = {
    "name": lambda row: row.tag,
    "nodes": lambda row: -row.nodes,
    "params": lambda row: -row.parameters,
    "macs": lambda row: -row.macs,
    "bytes": lambda row: -row.weight_bytes,
}
"""What each order goes by; equals stay in the model's order."""


def selected(
    rows: Sequence[ModuleRow], module: str | None, depth: int | None, sort: Sort, where: str
) -> list[ModuleRow]:
    """The rows of a module and of what is below it, down to a depth, in an order.

    Raises:
        UsageError: There is no such module, or no such order.
    """
    found = list(rows) if module is None else _within(rows, module, where)
    if depth is not None and found:
        found = [row for row in found if row.depth <= found[0].depth + depth]
    if sort == "model":
        return found
    if sort not in _KEYS:
        raise UsageError(f"Modules cannot be sorted by {sort!r}: {', '.join(_KEYS)} are known.")
    return sorted(found, key=_KEYS[sort])


def _within(rows: Sequence[ModuleRow], module: str, where: str) -> list[ModuleRow]:
    """The row of a module and those below it; of a list, which has none, those of its modules."""
    top = next((row for row in rows if module in {row.tag, row.path}), None)
    if top is not None:
        return [top, *(row for row in rows if row.tag.startswith((f"{top.tag}/", f"{top.tag}.")))]
    listed = f"{module}."
    found = [row for row in rows if row.tag.startswith(listed) or row.path.startswith(listed)]
    if found:
        return found
    known = [row.path for row in rows if row.path] + [row.tag for row in rows]
    raise no_such_module(module, known, where)


def no_such_module(module: str, known: Iterable[str], where: str) -> UsageError:
    """The error of a module that is not there, with what is called alike."""
    near = get_close_matches(module, known, 3)
    hint = f"; there are {', '.join(near)}" if near else ""
    return UsageError(f"{where}: no module with nodes or weights is called {module!r}{hint}.")


def nested(rows: Sequence[ModuleRow]) -> dict[str | None, list[ModuleRow]]:
    """The rows below each one, in the order of the rows; the topmost below None."""
    tags = {row.tag for row in rows}
    found: dict[str | None, list[ModuleRow]] = {}
    for row in rows:
        above = row.tag
        while (above := _parent(above)) and above not in tags:
            pass
        found.setdefault(above or None, []).append(row)
    return found


def _parent(tag: str) -> str:
    """The tag one step or number up; empty above the root."""
    cut = max(tag.rfind("/"), tag.rfind("."))
    return tag[:cut] if cut > 0 else ""


def short_name(row: ModuleRow, above: str | None) -> str:
    """What a row is called below another one."""
    return row.tag.removeprefix(above or "").lstrip("/.")
