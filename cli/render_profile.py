"""Profiles as trees, tables and CSV, for one file or two side by side."""

import csv
import sys
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.text import Text
from rich.tree import Tree

from modelexport.cli.tables import Grid, plural
from modelexport.hierarchy.choices import PartRole
from modelexport.rewriter import ModuleTime, Profile, ProfileComparison
from modelexport.rewriter.analysis.equal_siblings import ModuleGroup, group_siblings
from modelexport.support.visible_text import visible_line

_MAX_OPERATORS = 3
"""Maximum number of operators that are listed for a module."""


def duration(time: float | None, unit: str) -> str:
    """A time with its unit.

    >>> duration(1234.0, "us"), duration(12.0, "us"), duration(5000.0, "cycles")
    ('1.23 ms', '12 us', '5,000 cycles')
    """
    if time is None:
        return "-"
    if unit == "us" and abs(time) >= 1000:
        return f"{time / 1000:.2f} ms"
    return f"{time:,.0f} {unit}"


def summary(profile: Profile) -> str:
    """The parts of the time of a run, in one line: in nodes, outside nodes, in no module."""
    total = profile.node_time or 1.0
    shared = sum(node.time for node in profile.nodes if node.covers)
    runs = plural(profile.runs, "run") if profile.runs else "an unknown number of runs"
    parts = [
        f"{profile.runtime}, {runs}",
        f"{duration(profile.node_time, profile.unit)} in nodes",
        _outside_nodes(profile),
        f"{profile.attributed:.1%} below the root",
        *([f"{profile.root_work:.1%} in the root's own forward"] if profile.root_work else []),
        f"{profile.no_module / total:.1%} in no module",
        f"{profile.unmapped:.1%} not mapped",
        *([f"{shared / total:.1%} in layers of several modules"] if shared else []),
    ]
    return "; ".join(parts)


def _outside_nodes(profile: Profile) -> str:
    if profile.outside_nodes is None:
        return "time outside nodes unknown"
    return f"{duration(profile.outside_nodes, profile.unit)} outside nodes"


def file_summaries(profiles: Iterable[Profile]) -> Iterator[str]:
    """The summary of each of some files, with its name."""
    for profile in profiles:
        yield f"{profile.file}: {summary(profile)}"


def summaries(whole: Profile, parts: Mapping[PartRole, Profile]) -> Iterator[str]:
    """The summary of a file; of a folder, that of each part with its role."""
    if not parts:
        yield summary(whole)
    for role, profile in parts.items():
        yield f"{role.words}: {summary(profile)}"


def by_part(whole: Profile, parts: Mapping[PartRole, Profile]) -> Grid:
    """A line for each module of the whole model, with its time in each part."""
    times = [{row.tag: row.time for row in profile.modules} for profile in parts.values()]
    roles = [f">{role.words}" for role in parts]
    rows = [
        [
            row.tag,
            row.class_name,
            *(duration(by_tag.get(row.tag), whole.unit) for by_tag in times),
            duration(row.time, whole.unit),
            f"{row.share:.1%}",
            str(row.nodes),
        ]
        for row in whole.modules
    ]
    return Grid(["module", "class", *roles, ">sum", ">share", ">nodes"], rows, [">nodes", "class"])


def tree(profile: Profile, *, every_module: bool = False) -> Iterator[RenderableType]:
    """The modules as trees.

    A run of equal siblings is one entry: the time of all of them, and the shortest and the
    longest time of one. Below it are the modules of its first, likewise with those of the others.

    Args:
        profile: The profile.
        every_module: Whether equal siblings are shown one by one.
    """
    rows = {row.tag: row for row in profile.modules}
    groups = group_siblings(profile.modules, figures=_structure, every_module=every_module)
    for group in groups:
        branch = Tree(_label([group], rows, profile))
        pending = [(branch, [group])]
        while pending:  # not recursive: modules may be thousands of steps deep
            above, equal_groups = pending.pop()
            members = [member for group in equal_groups for member in group.members]
            pending += [
                (above.add(_label(below, rows, profile)), list(below))
                for below in zip(*(member.groups for member in members), strict=True)
            ]
        yield branch


def _structure(row: ModuleTime) -> Hashable:
    """The figures in which equal modules must agree; their times may differ."""
    return row.class_name, row.own_nodes, row.nodes, frozenset(row.op_types)


def _label(groups: Sequence[ModuleGroup], rows: Mapping[str, ModuleTime], profile: Profile) -> Text:
    """The label of groups that stand at the same place below equal modules."""
    members = [rows[member.tag] for group in groups for member in group.members]
    first, size = members[0], len(members)
    label = Text(visible_line(groups[0].name), style="bold", no_wrap=True, overflow="ellipsis")
    if size > 1:
        label.append(f": {size} x", style="")
    label.append(visible_line(f" {first.class_name}"), style="cyan")
    time = sum(row.time for row in members)
    share = sum(row.share for row in members)
    label.append(f"  {duration(time, profile.unit)} {share:.1%}", style="green")
    if size > 1:
        times = [row.time for row in members]
        shortest, longest = (duration(figure(times), profile.unit) for figure in (min, max))
        label.append(f"  each {shortest} to {longest}", style="green")
    elif first.spread is not None:
        label.append(f" +-{first.spread / (first.time or 1):.0%}", style="dim")
    own = sum(row.self_time for row in members)
    if own and own != time:
        label.append(f"  self {duration(own, profile.unit)}", style="yellow")
    times_by_operator: Counter[str] = Counter()
    for row in members:
        times_by_operator.update(row.op_types)
    text = longest_operators(dict(times_by_operator.most_common()), time)
    return label.append(visible_line(f"  {text}"), style="dim")


def longest_operators(times: Mapping[str, float], total: float) -> str:
    """The first operators of a list, each with its share of a time."""
    operators = list(times.items())[:_MAX_OPERATORS]
    return ", ".join(f"{name} {time / (total or 1):.0%}" for name, time in operators)


def table(profile: Profile) -> Grid:
    """A line for each module."""
    heads = ["module", "class", ">time", ">share", ">spread", ">self", ">nodes", ">shared"]
    unit, shares_nodes = profile.unit, any(row.shared_time for row in profile.modules)
    rows = [
        [
            row.tag,
            row.class_name,
            duration(row.time, unit),
            f"{row.share:.1%}",
            duration(row.spread, unit),
            duration(row.self_time, unit),
            str(row.nodes),
            duration(row.shared_time, unit),
        ]
        for row in profile.modules
    ]
    if not shares_nodes:
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    return Grid(heads, rows, [">shared", ">nodes", "class", ">spread"])


def operators(profile: Profile) -> Grid:
    """A line for each operator."""
    total = profile.node_time or 1.0
    rows = [
        [name, duration(time, profile.unit), f"{time / total:.1%}"]
        for name, time in profile.op_types.items()
    ]
    return Grid(["operator", ">time", ">share"], rows)


def side_by_side(comparison: ProfileComparison) -> Grid:
    """A line for each module of two files."""
    unit = comparison.a.unit
    rows = [
        [
            row.tag,
            duration(row.a, unit),
            duration(row.b, unit),
            "-" if row.ratio is None else f"{row.ratio:.2f}",
        ]
        for row in comparison.modules
    ]
    return Grid(["module", f">{comparison.a.file}", f">{comparison.b.file}", ">B / A"], rows)


_CSV_COLUMNS = (
    *("tag", "path", "class", "time", "self_time", "spread", "share", "shared_time"),
    *("own_nodes", "nodes", "unit", "file"),
)


def write_csv(profiles: list[Profile]) -> None:
    """Write a line for each module to standard output, numbers in full."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for profile in profiles:
        for row in profile.modules:
            names = map(visible_line, (row.tag, row.path, row.class_name))
            figures = (row.time, row.self_time, row.spread, row.share, row.shared_time)
            counts = (row.own_nodes, row.nodes)
            writer.writerow([*names, *figures, *counts, profile.unit, visible_line(profile.file)])
