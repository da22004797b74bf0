"""Which modules gained, lost or changed operators from one file to the other."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from modelexport.hierarchy.module_tree import Module
from modelexport.rewriter.analysis.totals import add_counts, most_frequent_first
from modelexport.rewriter.comparison.compared_file import ComparedFile, ComparedFiles
from modelexport.rewriter.comparison.module_alignment import ModuleAlignment
from modelexport.rewriter.comparison.results import FileFacts, ModuleChange, Status
from modelexport.rewriter.comparison.shown_modules import ShownModules


@dataclass(slots=True)
class _ModuleContent:
    """What one file has of one module.

    Attributes:
        ops: Number of its own nodes, by operator.
        covered: Number of nodes of other modules that do some of its work, by operator.
        parameters: Number of elements of its own parameters.
        bytes: Bytes of its own weights.
        known: Whether the module tree of the file has it.
        class_name: Its class; "" when the module tree does not say.
        source_lines: Lines of Python behind its own nodes.
    """

    ops: dict[str, int] = field(default_factory=dict)
    covered: dict[str, int] = field(default_factory=dict)
    parameters: int = 0
    bytes: int = 0
    known: bool = False
    class_name: str = ""
    source_lines: dict[str, None] = field(default_factory=dict)

    @property
    def amounts(self) -> tuple[dict[str, int], dict[str, int], int, int]:
        """All that the file has of it."""
        return self.ops, self.covered, self.parameters, self.bytes

    @property
    def present(self) -> bool:
        """Whether the file has anything of it."""
        return bool(self.ops or self.covered or self.parameters or self.bytes)


def module_changes(files: ComparedFiles, alignment: ModuleAlignment) -> dict[str, ModuleChange]:
    """A row by key for each module of which a file has something; the first file's order."""
    return _changes(files, alignment, ShownModules(alignment))


def shown_changes(
    files: ComparedFiles,
    alignment: ModuleAlignment,
    changes: dict[str, ModuleChange],
    shown: ShownModules,
) -> list[ModuleChange]:
    """The rows of the modules that are shown.

    Args:
        files: The files.
        alignment: Which of their modules are the same.
        changes: The rows of all modules. A row that stands for several modules has changed when
            one of them has.
        shown: The modules that are shown.
    """
    if shown.as_they_are:
        return list(changes.values())
    changed = {shown.shown_as(key) for key, row in changes.items() if row.status is not Status.SAME}
    return [
        msgspec.structs.replace(row, status=Status.CHANGED)
        if row.status is Status.SAME and key in changed
        else row
        for key, row in _changes(files, alignment, shown).items()
    ]


def _changes(
    files: ComparedFiles, alignment: ModuleAlignment, shown: ShownModules
) -> dict[str, ModuleChange]:
    left, right = (_ContentCounter(file, alignment, shown).by_key for file in files)
    rows: dict[str, ModuleChange] = {}
    nothing = _ModuleContent()
    for key in [*left, *(key for key in right if key not in left)]:
        a, b = left.get(key, nothing), right.get(key, nothing)
        if a.present or b.present:
            rows[key] = _row(alignment.tag(key), a, b)
    return rows


def _row(tag: str, a: _ModuleContent, b: _ModuleContent) -> ModuleChange:
    status, nodes_a = _status(a, b), sum(a.ops.values())
    return ModuleChange(
        tag=tag,
        class_name=a.class_name or b.class_name,
        status=status,
        nodes_a=nodes_a,
        nodes_b=nodes_a if status is Status.SAME else sum(b.ops.values()),
        gained=more_counts(b.ops, a.ops),
        lost=more_counts(a.ops, b.ops),
        covered_a=most_frequent_first(a.covered),
        covered_b=most_frequent_first(b.covered),
        parameters_a=a.parameters,
        parameters_b=b.parameters,
        bytes_a=a.bytes,
        bytes_b=b.bytes,
        source_lines=tuple(a.source_lines or b.source_lines),
    )


def _status(a: _ModuleContent, b: _ModuleContent) -> Status:
    if a.amounts == b.amounts:
        return Status.SAME
    if not b.known:
        return Status.ONLY_A
    if not a.known:
        return Status.ONLY_B
    if a.ops and not b.ops:
        return Status.ABSORBED if b.covered else Status.EMPTIED
    return Status.CHANGED


class _ContentCounter:
    """Counts what one file has of each module that is shown.

    Attributes:
        by_key: What it has, by the key of the module.
    """

    def __init__(self, file: ComparedFile, alignment: ModuleAlignment, shown: ShownModules) -> None:
        self._file, self._alignment, self._shown = file, alignment, shown
        self.by_key: dict[str, _ModuleContent] = {}
        self._count_modules()
        for weight in file.weights:
            if weight.module is not None:
                self._content(self._shown_key(weight.module)).bytes += weight.bytes or 0
        self._count_nodes()

    def _shown_key(self, path: str) -> str | None:
        """The key of the module that the module of a path is shown as, if it is shown."""
        return self._shown.shown_as(self._alignment.key(self._file, path))

    def _content(self, key: str | None) -> _ModuleContent:
        """What is counted for a module; a throwaway for a module that is not shown."""
        if key is None:
            return _ModuleContent()
        content = self.by_key.get(key)
        if content is None:
            content = self.by_key[key] = _ModuleContent(known=True)
        return content

    def _count_modules(self) -> None:
        for module in self._file.tree:
            own_key = self._alignment.key(self._file, module.path)
            key = self._shown.shown_as(own_key)
            content = self._content(key)
            if key == own_key:
                content.class_name = content.class_name or module.class_name
            if module.parameters:
                content.parameters += _parameter_elements([module])

    def _count_nodes(self) -> None:
        operators, claims = self._file.op_types, self._file.claims
        has_lines = bool(self._file.hierarchy.source_lines)
        content_of: dict[str, _ModuleContent] = {}
        for number, (operator, claim) in enumerate(zip(operators, claims, strict=True)):
            if claim is None:
                continue
            path = claim.module
            if path not in content_of:
                content_of[path] = self._content(self._shown_key(path))
            content = content_of[path]
            content.ops[operator] = content.ops.get(operator, 0) + 1
            if has_lines:
                content.source_lines.update(dict.fromkeys(self._file.source_lines[number]))
            if claim.covers and not self._file.graph.is_auxiliary(number):
                covered = {self._shown_key(other) for other in claim.covers}
                for key in covered - {self._shown_key(path)}:
                    add_counts(self._content(key).covered, {operator: 1})


def shown_operators(
    file: ComparedFile, alignment: ModuleAlignment, shown: ShownModules
) -> Counter[str]:
    """Number of nodes in the modules that are shown, by operator; of all nodes if all are shown."""
    if shown.everything:
        return file.operators()
    pairs = zip(file.op_types, file.claims, strict=True)
    return Counter(
        operator
        for operator, claim in pairs
        if claim is not None and shown.contains(alignment.key(file, claim.module))
    )


def file_facts(file: ComparedFile) -> FileFacts:
    """The figures of a file as a whole."""
    operators, untagged = file.operators(), file.untagged_operators()
    return FileFacts(
        file=file.path.name,
        source=file.hierarchy.scheme,
        nodes=operators.total(),
        tagged=operators.total() - untagged.total(),
        op_types=most_frequent_first(operators),
        untagged=most_frequent_first(untagged),
        parameters=_parameter_elements(file.tree),
        bytes=sum(weight.bytes or 0 for weight in file.weights),
    )


def _parameter_elements(modules: Iterable[Module]) -> int:
    """Number of elements of the own parameters of modules; shared ones are counted once."""
    return sum(
        parameter.size
        for module in modules
        if module.alias_of is None
        for parameter in module.parameters
        if parameter.tied_to is None
    )


def more_counts(counts: Mapping[str, int], others: Mapping[str, int]) -> dict[str, int]:
    """By how much counts are greater than others of the same names, the most frequent first."""
    if counts == others:
        return {}
    return most_frequent_first(Counter(counts) - Counter(others))
