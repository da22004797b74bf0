"""The modules that a path, a tag, a pattern, a range or one call (`PATH@1`) stands for."""

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from modelexport.errors import NoSuchModuleError, UsageError
from modelexport.hierarchy.module_tree import is_within
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.support.error_texts import listed
from modelexport.support.numerals import is_numeral

_RANGE = re.compile(r"(.*?)(\d+)-(\d+)")


class ModuleCall(NamedTuple):
    """A module, or one call of it.

    Attributes:
        path: Its path.
        call: Which call, from 0; None for all calls.
    """

    path: str
    call: int | None = None

    def __str__(self) -> str:
        """As a user writes it."""
        return self.path if self.call is None else f"{self.path}@{self.call}"


def match_modules(file: PlacedFile, pattern: str) -> list[ModuleCall]:
    """The modules that a pattern matches, in the order of the module tree.

    Args:
        file: The file.
        pattern: A path or a tag; `*`, `?` and `[…]` stand for any characters, and `layer.0-2` for
            three modules. An `@` and a number at its end choose one call.

    Raises:
        UsageError: It matches no module of the file.
    """
    name, call = split_call(file, pattern)
    if name in file.tree:
        return [ModuleCall(file.tree.canonical(name), call)]
    matches = [
        ModuleCall(path, call)
        for path in dict.fromkeys(file.tree.canonical(module.path) for module in file.tree)
        if fnmatchcase(path, name) or fnmatchcase(file.tagger.tag(path), name)
    ]
    if matches:
        return matches
    return [ModuleCall(file.find_module(single), call) for single in _expand_range(name)]


def _expand_range(name: str) -> Iterable[str]:
    """`layer.0-2` as `layer.0`, `layer.1` and `layer.2`; another name as it is."""
    match = _RANGE.fullmatch(name)
    if match is None:
        return [name]
    stem, first, last = match[1], int(match[2]), int(match[3])
    if first > last:
        raise UsageError(f"{name}: a range begins with its lower number: {stem}{last}-{first}.")
    return (f"{stem}{number}" for number in range(first, last + 1))


def named_calls(
    file: PlacedFile, names: Iterable[str], *, partly: bool = False
) -> tuple[list[ModuleCall], dict[str, set[int]]]:
    """The modules that some patterns match, and the nodes of each pattern.

    Args:
        file: The file.
        names: The patterns, as for `match_modules`.
        partly: Whether fused nodes that do only some of a module's work are nodes of it, too.

    Raises:
        UsageError: One matches no module of the file.
    """
    matches = {name: match_modules(file, name) for name in names}
    calls = [call for own in matches.values() for call in own]
    return calls, {
        name: nodes_of_calls(file, own) | (covering_nodes(file, own) if partly else set())
        for name, own in matches.items()
    }


def covering_nodes(file: PlacedFile, calls: Iterable[ModuleCall]) -> set[int]:
    """The fused nodes that do some of the work of modules."""
    paths = [file.tagger.resolve(call.path) for call in calls]
    return {
        number
        for number, claim in enumerate(file.claims)
        if claim is not None
        and any(is_within(covered, path) for covered in claim.covers for path in paths)
    }


def about_covering(file: PlacedFile, nodes: set[int]) -> str:
    """What the user should know about fused nodes that do some of the work of modules.

    Args:
        file: The file.
        nodes: The nodes: at least one.
    """
    tags = listed(sorted({file.tag(number) or "no module" for number in nodes}), 3)
    if len(nodes) == 1:
        return f"a fused node in {tags} does some of this work: --partly takes it, too"
    return f"{len(nodes)} fused nodes in {tags} do some of this work: --partly takes them, too"


def notes_about_empty(nodes_of: Mapping[str, set[int]]) -> list[str]:
    """A note for each pattern whose modules have no nodes.

    Args:
        nodes_of: The nodes of each pattern.
    """
    return [f"{name} has no nodes in this file." for name, nodes in nodes_of.items() if not nodes]


def split_call(file: PlacedFile, name: str) -> tuple[str, int | None]:
    """A name without the `@` and number at its end, and the number; None without one."""
    stem, at, number = name.rpartition("@")
    if not at or not is_numeral(number) or name in file.tree:
        return name, None
    return stem, int(number)


def nodes_of_calls(file: PlacedFile, calls: list[ModuleCall]) -> set[int]:
    """The nodes of some modules.

    Raises:
        NoSuchModuleError: No node of the module ran in the chosen call.
    """
    nodes: set[int] = set()
    for module in calls:
        inside = file.nodes_of(module.path, module.call)
        if module.call is not None and not inside and file.nodes_of(module.path):
            numbers = sorted(set(_call_numbers(file, module.path)))
            choices = ", ".join(f"@{number}" for number in numbers)
            raise NoSuchModuleError(
                f"{file.path}: no node ran in call {module.call} of {module.path}; its calls are "
                f"{choices}."
            )
        nodes.update(inside)
    return nodes


def _call_numbers(file: PlacedFile, path: str) -> Iterator[int]:
    path = file.tagger.resolve(path)
    return (file.call_of(number, path) for number in file.nodes_of(path))
