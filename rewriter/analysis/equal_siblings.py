"""Equal siblings as one entry: `layer.(0-5)` for six equal layers, the way torch prints them.

Modules are siblings when they are directly below the same module. Siblings form one group when

- their tags differ in the last number only, and these numbers follow each other, and
- their subtrees are equal: all that is shown of both modules, and the names, the order and the
  subtrees of the modules below them.

Where layers differ, each run of equal ones is a group. Groups contain groups: equal experts in
equal layers.

A module that only holds numbered ones, such as a ModuleList, is no entry: their names say as much.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from modelexport.rewriter.analysis.row_tree import (
    ListedRow,
    children_by_tag,
    name_of_step,
    step_below,
    without_plain_lists,
)

if TYPE_CHECKING:
    from modelexport.rewriter.analysis.results import ModuleRow

_Row = TypeVar("_Row", bound=ListedRow)

_MAX_DIGITS = 9
"""Maximum number of digits of the number of a sibling; Python does not read thousands of them."""


@dataclass(frozen=True)
class GroupMember:
    """One module of a group, with what is below it.

    Attributes:
        tag: Its tag.
        groups: The groups directly below it.
    """

    tag: str
    groups: tuple["ModuleGroup", ...]


@dataclass(frozen=True)
class ModuleGroup:
    """A single module, or a run of equal siblings.

    Attributes:
        step: What it adds to the tag above it: `/attention`, or `/layer.(0-5)` for a run.
        members: Its modules in the order of their numbers. The first stands for all of them.
    """

    step: str
    members: tuple[GroupMember, ...]

    @property
    def name(self) -> str:
        """What it is called below its parent: `attention`, or `layer.(0-5)` for a run."""
        return name_of_step(self.step)

    @property
    def first(self) -> GroupMember:
        """The module that stands for all of them."""
        return self.members[0]


@dataclass(frozen=True)
class GroupLine:
    """A group as a line of a flat list.

    Attributes:
        tag: Tag of its modules, with the runs in it: `/Net/layer.(0-5)/experts.(0-7)`.
        first: Tag of the first module that it stands for.
        siblings: How many modules the group has; 1 for a single module.
        modules: How many modules the line stands for: six layers of eight experts make 48.
    """

    tag: str
    first: str
    siblings: int
    modules: int


def group_equal_siblings(
    *files: "Sequence[ModuleRow]", every_module: bool = False
) -> tuple[ModuleGroup, ...]:
    """Arrange modules as a tree in which each run of equal siblings is one group.

    A group stands where its first module would stand. The modules of several files are
    equal when they are equal in each of the files.

    Args:
        files: The modules of each file, in the order in which they are shown. Modules that only
            later files have come last.
        every_module: Make a group of its own for each module.

    Returns:
        The topmost groups. Each tag is in at most one group.
    """
    return group_siblings(*files, figures=_figures, every_module=every_module)


def group_siblings(
    *files: Sequence[_Row], figures: Callable[[_Row], Hashable], every_module: bool = False
) -> tuple[ModuleGroup, ...]:
    """As `group_equal_siblings`, for rows of any kind.

    Args:
        files: The rows of each file.
        figures: In what equal modules are equal, apart from their places in the tree.
        every_module: Make a group of its own for each module.
    """
    rows_by_tag = [{row.tag: row for row in rows} for rows in files]
    listed: dict[str, list[_Row]] = {}
    for rows in files:
        for row in rows:
            listed.setdefault(row.tag, []).append(row)
    by_tag = {
        tag: tuple(figures(rows[tag]) if tag in rows else None for rows in rows_by_tag)
        for tag in listed
    }
    tree = children_by_tag(rows[0] for rows in listed.values())
    children = without_plain_lists(tree, listed)
    return _Grouping(by_tag, children, every_module=every_module).groups()


def list_groups(groups: Sequence[ModuleGroup]) -> Iterator[GroupLine]:
    """The topmost groups and those below their first modules, each parent before its children."""
    pending: list[tuple[ModuleGroup, GroupLine | None]]
    pending = [(group, None) for group in reversed(groups)]
    while pending:  # not recursive: modules may be thousands of steps deep
        group, parent = pending.pop()
        size, above = len(group.members), ""
        if parent is not None:  # its tag, with the runs in it
            stem = group.first.tag.removesuffix(step_below(group.first.tag, parent.first))
            above = parent.tag[: len(parent.tag) - len(parent.first) + len(stem)]
        modules = size * (1 if parent is None else parent.modules)
        line = GroupLine(above + group.step, group.first.tag, size, modules)
        yield line
        pending.extend((child, line) for child in reversed(group.first.groups))


def _figures(row: "ModuleRow") -> Hashable:
    """All that is shown of a module, apart from its place in the tree."""
    counts = (row.own_nodes, row.nodes, row.own_parameters, row.parameters, row.weight_bytes)
    costs = (row.macs, row.unknown_macs, row.activation_bytes, row.unknown_activations)
    return row.class_name, counts, costs, frozenset(row.op_types.items())


class _Grouping:
    """Finds the groups of a tree.

    Args:
        figures: All that is shown of each module by tag.
        children: The tags directly below each tag; the topmost are below None.
        every_module: Make a group of its own for each module.
    """

    def __init__(
        self,
        figures: Mapping[str, Hashable],
        children: Mapping[str | None, Sequence[str]],
        *,
        every_module: bool,
    ) -> None:
        self._figures = figures
        self._children = children
        self._every_module = every_module
        self._subtree_ids: dict[str, int] = {}
        self._ids_by_content: dict[Hashable, int] = {}

    def groups(self) -> tuple[ModuleGroup, ...]:
        """The topmost groups. Those below a module are made before the group of the module."""
        groups: dict[str | None, tuple[ModuleGroup, ...]] = {}
        for parent in self._deepest_first():
            groups[parent] = tuple(
                ModuleGroup(
                    step_below(_tag_of_run(run), parent),
                    tuple(GroupMember(tag, groups[tag]) for tag in run),
                )
                for run in self._runs(self._children.get(parent, []))
            )
            if parent is not None:
                self._subtree_ids[parent] = self._find_subtree_id(parent)
        return groups[None]

    def _deepest_first(self) -> Iterator[str | None]:
        """Every tag after those below it; None, which is above the topmost, comes last."""
        tags: list[str | None] = [None]
        for tag in tags:
            tags += self._children.get(tag, ())
        return reversed(tags)

    def _runs(self, siblings: Sequence[str]) -> list[list[str]]:
        """The siblings by group, in the order of the first of each."""
        if self._every_module:
            return [[tag] for tag in siblings]
        run_to_extend: dict[tuple[str, int, int], list[str]] = {}
        runs: dict[str, list[str]] = {}
        for stem, number, tag in sorted(filter(None, map(_split_number, siblings))):
            subtree = self._subtree_ids[tag]
            run = run_to_extend.pop((stem, subtree, number), [])
            run.append(tag)
            run_to_extend[stem, subtree, number + 1] = run
            runs[run[0]] = run
        extended = {tag for run in runs.values() for tag in run[1:]}
        return [runs.get(tag, [tag]) for tag in siblings if tag not in extended]

    def _find_subtree_id(self, tag: str) -> int:
        """A number that equal subtrees share; those of the modules below have theirs."""
        children = self._children.get(tag, ())
        below = tuple((step_below(child, tag), self._subtree_ids[child]) for child in children)
        content = (self._figures[tag], below)
        return self._ids_by_content.setdefault(content, len(self._ids_by_content))


def _split_number(tag: str) -> tuple[str, int, str] | None:
    """The tag up to its last number, this number, and the tag; None where no number is last."""
    stem, _, last = tag.rpartition(".")
    is_number = last.isdecimal() and len(last) <= _MAX_DIGITS and str(int(last)) == last
    return (stem, int(last), tag) if is_number else None


def _tag_of_run(run: Sequence[str]) -> str:
    """One tag for all modules of a run; they differ in the last number only."""
    if len(run) == 1:
        return run[0]
    stem, _, first = run[0].rpartition(".")
    return f"{stem}.({first}-{run[-1].rpartition('.')[2]})"
