"""What a report shows, as the data of its page."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from modelexport.rewriter.analysis.equal_siblings import ModuleGroup, group_equal_siblings
from modelexport.rewriter.analysis.row_tree import short_name
from modelexport.rewriter.matching import OURS

if TYPE_CHECKING:
    from modelexport.rewriter.analysis.results import Analysis, ModuleRow, UnresolvedNode


class ReportModule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One module of the page.

    Attributes:
        tag, name: Its tag, and its name below its parent.
        class_name: Its class.
        parent: Position of the module around it in the list; -1 for the root.
        nodes, parameters, macs: Sums of the module and those below it.
        weight_bytes, activation_bytes: Likewise, in bytes.
        op_types: Number of nodes by operator, the most frequent first.
        time: Time of its nodes, in the profile's unit; None without a profile.
        error: Greatest relative error of a value that leaves it; None when it was not compared.
        local_error: Relative error that it adds by itself, in a file of fewer bits.
        lines: Lines of Python (`file:line`) behind its own nodes.
    """

    tag: str
    name: str
    class_name: str
    parent: int
    nodes: int
    parameters: int
    macs: int
    weight_bytes: int
    activation_bytes: int
    op_types: dict[str, int]
    time: float | None = None
    error: float | None = None
    local_error: float | None = None
    lines: tuple[str, ...] = ()


class EqualModules(msgspec.Struct, frozen=True):
    """A run of equal siblings, which the page folds.

    Attributes:
        name: Name of the run: `layer.(0-5)`.
        members: Positions of its modules in the list.
    """

    name: str
    members: tuple[int, ...]


class CodeLines(msgspec.Struct, frozen=True):
    """Some lines of a Python file.

    Attributes:
        first: Number of the first of them, from 1.
        lines: The lines.
    """

    first: int
    lines: list[str]


class ReportFile(msgspec.Struct, frozen=True):
    """One file of the page.

    Attributes:
        file: Base name of the file.
        source: Where its hierarchy comes from; None if from our own tags.
        nodes, tagged: Number of nodes, and of nodes with a module.
        modules: Its modules, each before those below it.
        equal: Runs of equal siblings.
        unresolved: The nodes without a module, with reasons.
        notes: What else the reader should know.
        time_unit: Unit of the times; None without a profile.
        code: The code around source lines (`file:line`), from the folder of sources.
    """

    file: str
    source: str | None
    nodes: int
    tagged: int
    modules: list[ReportModule]
    equal: list[EqualModules]
    unresolved: "list[UnresolvedNode]"
    notes: list[str]
    time_unit: str | None = None
    code: dict[str, CodeLines] = {}


class ModuleFigures(msgspec.Struct, frozen=True):
    """Measured times and errors of the modules of a file, and their code, by tag.

    Attributes:
        times: Time of each module.
        time_unit: Its unit; None when there is no profile.
        errors: Greatest relative error of a value that leaves the module.
        local_errors: Relative error that the module adds by itself.
        lines: Lines of Python behind the module's own nodes.
        code: The code around these lines.
    """

    times: Mapping[str, float] = {}
    time_unit: str | None = None
    errors: Mapping[str, float] = {}
    local_errors: Mapping[str, float] = {}
    lines: Mapping[str, tuple[str, ...]] = {}
    code: Mapping[str, CodeLines] = {}


def report_file(
    analysis: "Analysis", figures: ModuleFigures, others: "Sequence[Analysis]" = ()
) -> ReportFile:
    """The data of one file.

    Args:
        analysis: Its sums by module, in the order of the model.
        figures: What was measured of its modules.
        others: The other files of the page: modules are equal when they are equal in each.
    """
    rows = analysis.modules
    positions = {row.tag: position for position, row in enumerate(rows)}
    return ReportFile(
        file=analysis.file,
        source=None if analysis.source == OURS else analysis.source,
        nodes=analysis.nodes,
        tagged=analysis.tagged,
        modules=[_module(row, positions, figures) for row in rows],
        equal=_equal_modules(
            group_equal_siblings(rows, *(other.modules for other in others)), positions
        ),
        unresolved=analysis.unresolved,
        notes=analysis.notes,
        time_unit=figures.time_unit,
        code=dict(figures.code),
    )


def _module(row: "ModuleRow", positions: Mapping[str, int], figures: ModuleFigures) -> ReportModule:
    return ReportModule(
        tag=row.tag,
        name=short_name(row.tag, row.parent),
        class_name=row.class_name,
        parent=-1 if row.parent is None else positions[row.parent],
        nodes=row.nodes,
        parameters=row.parameters,
        macs=row.macs,
        weight_bytes=row.weight_bytes,
        activation_bytes=row.activation_bytes,
        op_types=row.op_types,
        time=figures.times.get(row.tag),
        error=figures.errors.get(row.tag),
        local_error=figures.local_errors.get(row.tag),
        lines=figures.lines.get(row.tag, ()),
    )


def _equal_modules(
    groups: Sequence[ModuleGroup], positions: Mapping[str, int]
) -> list[EqualModules]:
    """All runs of more than one module that the file has, also those inside of others."""
    runs = []
    pending = [*groups]
    for group in pending:
        in_file = all(member.tag in positions for member in group.members)
        if len(group.members) > 1 and in_file:
            members = tuple(positions[member.tag] for member in group.members)
            runs.append(EqualModules(group.name, members))
        for member in group.members:
            pending += member.groups
    return runs
