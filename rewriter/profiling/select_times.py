"""Which modules of a profile are listed, and in which order."""

from collections import Counter
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from modelexport.hierarchy.choices import ProfileOrder, parse_choice
from modelexport.rewriter.analysis.row_tree import rows_down_to
from modelexport.rewriter.annotation.find_module import no_such_module
from modelexport.rewriter.profiling.results import ModuleTime, Profile

_SORT_KEYS: dict[ProfileOrder, Callable[[ModuleTime], Any]] = {
    ProfileOrder.TIME: lambda row: -row.time,
    ProfileOrder.SELF: lambda row: -row.self_time,
    ProfileOrder.NODES: lambda row: -row.nodes,
    ProfileOrder.NAME: lambda row: row.tag,
}


def select_times(
    profile: Profile, module: str | None, depth: int | None, sort: str, file: str
) -> Profile:
    """A profile with the rows of some modules, down to a depth, in an order.

    Its times by operator are those of these modules.

    Args:
        profile: The profile of the whole file.
        module: Path, tag or pattern (`layer.*`) of modules; None for all.
        depth: How many steps below these (or below the root) rows are kept; None for all.
        sort: One of `ProfileOrder`.
        file: The file as errors name it.

    Raises:
        UsageError: There is no such module, or no such order.
    """
    rows, op_types = profile.modules, profile.op_types
    if module is not None:
        tags = tags_inside(rows, module, file)
        rows = [row for row in rows if row.tag in tags]
        op_types = _times_by_operator([row for row in rows if row.parent not in tags])
    if depth is not None:
        rows = rows_down_to(rows, depth)
    order = parse_choice(ProfileOrder, sort, "order of modules")
    if order is not ProfileOrder.MODEL:
        rows = sorted(rows, key=_SORT_KEYS[order])
    return msgspec.structs.replace(profile, modules=rows, op_types=op_types)


def _times_by_operator(rows: Sequence[ModuleTime]) -> dict[str, float]:
    """Sum of the times by operator, the longest first."""
    times: Counter[str] = Counter()
    for row in rows:
        times.update(row.op_types)
    return dict(times.most_common())


def tags_inside(rows: Sequence[ModuleTime], module: str, file: str) -> set[str]:
    """The tags of the modules that a path, tag or pattern means, and of those inside them.

    Raises:
        UsageError: There is no such module.
    """
    tags: set[str] = set()
    for row in rows:  # parents stand before what is inside them
        name_fits = module in {row.path, row.tag}
        if name_fits or row.parent in tags or _matches(row, module):
            tags.add(row.tag)
    if not tags:
        names = [row.path for row in rows if row.path] + [row.tag for row in rows]
        raise no_such_module(module, names, file)
    return tags


def _matches(row: ModuleTime, pattern: str) -> bool:
    return fnmatchcase(row.path, pattern) or fnmatchcase(row.tag, pattern)
