"""Which modules of an analysis are shown, and in which order."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, Literal

from hierarchy.errors import UsageError
from rewriter.rows import ModuleRow

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
    found = list(rows)
    if module is not None:
        top = _named(rows, module, where)
        found = [row for row in rows if row.tag == top.tag or _below(row.tag, top.tag)]
    if depth is not None and found:
        found = [row for row in found if row.depth <= found[0].depth + depth]
    if sort == "model":
        return found
    if sort not in _KEYS:
        raise UsageError(f"Modules cannot be sorted by {sort!r}: {', '.join(_KEYS)} are known.")
    return sorted(found, key=_KEYS[sort])


def _below(tag: str, above: str) -> bool:
    return tag.startswith((above + "/", above + "."))


def _named(rows: Sequence[ModuleRow], module: str, where: str) -> ModuleRow:
    for row in rows:
        if module in {row.tag, row.path}:
            return row
    known = [row.path for row in rows if row.path] + [row.tag for row in rows]
    near = get_close_matches(module, known, 3)
    hint = f"; there are {', '.join(near)}" if near else ""
    raise UsageError(f"{where}: no module with nodes or weights is called {module!r}{hint}.")


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
