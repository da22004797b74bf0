"""Times by line of Python as tables and CSV, for one file or two side by side."""

import csv
import sys

from modelexport.cli.render_profile import duration, longest_operators
from modelexport.cli.tables import Grid
from modelexport.rewriter import Profile, ProfileComparison
from modelexport.support.visible_text import visible_line

_NO_LINE = "(no line)"


def table(profile: Profile) -> Grid:
    """A line for each line of Python."""
    shares_nodes = any(row.shared_time for row in profile.lines)
    shared = [">shared"] if shares_nodes else []
    heads = ["line", ">time", ">share", ">spread", ">nodes", *shared, "operators", "modules"]
    unit = profile.unit
    rows = [
        [
            row.line or _NO_LINE,
            duration(row.time, unit),
            f"{row.share:.1%}",
            duration(row.spread, unit),
            str(row.nodes),
            *([duration(row.shared_time, unit)] if shares_nodes else []),
            longest_operators(row.op_types, row.time),
            _modules(row.modules),
        ]
        for row in profile.lines
    ]
    return Grid(heads, rows, ["operators", ">shared", ">spread", "modules", ">nodes"])


def _modules(tags: list[str]) -> str:
    """The first module, and how many others there are."""
    return "" if not tags else tags[0] if len(tags) == 1 else f"{tags[0]} and {len(tags) - 1} more"


def side_by_side(comparison: ProfileComparison) -> Grid:
    """A line for each line of Python in two files."""
    unit = comparison.a.unit
    rows = [
        [
            row.line or _NO_LINE,
            duration(row.a, unit),
            duration(row.b, unit),
            "-" if row.ratio is None else f"{row.ratio:.2f}",
        ]
        for row in comparison.lines
    ]
    return Grid(["line", f">{comparison.a.file}", f">{comparison.b.file}", ">B / A"], rows)


_CSV_COLUMNS = ("line", "time", "spread", "share", "shared_time", "nodes", "unit", "file")


def write_csv(profiles: list[Profile]) -> None:
    """Write a line for each line of Python to standard output, numbers in full."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for profile in profiles:
        for row in profile.lines:
            figures = (row.time, row.spread, row.share, row.shared_time, row.nodes)
            writer.writerow(
                [visible_line(row.line), *figures, profile.unit, visible_line(profile.file)]
            )
