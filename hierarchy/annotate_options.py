"""The options of annotating: each option and its default stands here and nowhere else.

Python, batch plans and the command line all build these values. They are frozen: an option is
changed by making a new value, see `AnnotateOptions.overridden`.
"""

from collections.abc import Collection
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypedDict, Unpack

import msgspec

from modelexport.errors import UsageError
from modelexport.hierarchy.choices import FoldMode, Inject, MatchEvidence
from modelexport.hierarchy.tags import TagRules

DEFAULT_MEMORY = 1 << 30
"""Maximum bytes of values that are in memory at one time, unless the user gives another limit."""

_CLASS = "class:"
"""Prefix of a pattern that stands for class names, among the patterns of functions to fold."""


class MatchOptions(msgspec.Struct, frozen=True):
    """How a file is matched with a record.

    Attributes:
        evidence: The kinds of evidence that may be used.
        run: Whether the file may be run. Running it executes the operators in it.
        probe: An .npz file with the user's own inputs by name, in place of the recorded inputs.
            It needs `reference`: the recorded fingerprints belong to the recorded inputs.
        reference: The plain file that was traced. It is run beside the file that is matched.
        libraries: Custom operator libraries that onnxruntime loads first.
        memory: Maximum bytes of values that are in memory at one time, about. A file that computes
            more runs several times, each time for a part of its values.
    """

    evidence: frozenset[str] = frozenset(MatchEvidence)
    run: bool = True
    probe: Path | None = None
    reference: Path | None = None
    libraries: tuple[Path, ...] = ()
    memory: int = DEFAULT_MEMORY

    def check(self) -> None:
        """Refuse options that do not fit together.

        Raises:
            UsageError: Options contradict each other, or a kind of evidence is unknown.
        """
        choices = ", ".join(MatchEvidence)
        if not self.evidence:
            raise UsageError(f"No kind of evidence is allowed; choose from {choices}.")
        if unknown := sorted(self.evidence - frozenset(MatchEvidence)):
            raise UsageError(f"Unknown evidence kind {unknown[0]!r}; choose from {choices}.")
        if self.probe is not None and self.reference is None:
            raise UsageError(
                "--probe needs --reference PLAIN.onnx: the record knows what the model computes "
                "on the recorded inputs only."
            )
        if self.memory < 1:
            raise UsageError("--memory takes at least one byte.")
        if not self.run and (self.probe or self.reference or self.libraries):
            raise UsageError(
                "--no-run cannot be used with --probe, --reference or --custom-ops: they run files."
            )


class FoldRules(msgspec.Struct, frozen=True):
    """Which calls of modules become functions.

    Attributes:
        functions: A `FoldMode` alone; or patterns of module paths (`*.layer.*`) and of class
            names (`class:*Layer`). A call is folded when one of the patterns matches.
        min_nodes: Calls with fewer nodes than this are not folded.
        max_prototypes: Maximum number of functions for one class; the most called ones are made.
            None for no limit.

    Raises:
        UsageError: `functions` is empty, or combines a mode with patterns.
    """

    functions: tuple[str, ...] = (FoldMode.REPEATED,)
    min_nodes: int = 2
    max_prototypes: int | None = None

    def __post_init__(self) -> None:
        if not self.functions or (self._has_mode and len(self.functions) > 1):
            raise UsageError(
                "--functions takes repeated, nested or all alone, or any number of patterns."
            )

    @property
    def _has_mode(self) -> bool:
        return not set(FoldMode).isdisjoint(self.functions)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns; empty when `functions` is a mode."""
        return () if self._has_mode else self.functions

    def matches(self, path: str, class_name: str) -> bool:
        """Whether one of the patterns matches a module."""
        return any(
            fnmatchcase(class_name, pattern.removeprefix(_CLASS))
            if pattern.startswith(_CLASS)
            else fnmatchcase(path, pattern)
            for pattern in self.patterns
        )


class AnnotateKeywords(TypedDict, total=False):
    """The types of `AnnotateOptions` as keyword arguments, for type checkers and editors."""

    matching: MatchOptions
    inject: Collection[Inject]
    rules: TagRules
    fold_rules: FoldRules
    torch_keys: bool
    source_lines: bool
    replace_keys: bool


class AnnotateOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is matched, and how its hierarchy is written.

    Attributes:
        matching: How the file is matched with its record.
        inject: Where the hierarchy is written. `export` writes the plain file when it is empty.
        rules: How module paths become tags.
        fold_rules: Which calls become functions, when `inject` has functions.
        torch_keys: Write the metadata keys of torch's own exporter too.
        source_lines: Write the lines of Python behind each node that is matched to recorded ops.
        replace_keys: Overwrite shared keys that others wrote. `strip` cannot restore them.
    """

    matching: MatchOptions = MatchOptions()
    inject: tuple[Inject, ...] = (Inject.METADATA,)
    rules: TagRules = TagRules()
    fold_rules: FoldRules = FoldRules()
    torch_keys: bool = False
    source_lines: bool = False
    replace_keys: bool = False

    def overridden(self, **changes: Unpack[AnnotateKeywords]) -> "AnnotateOptions":
        """These options with some of them replaced.

        Raises:
            TypeError: There is no option of such a name.
        """
        options = msgspec.structs.replace(self, **changes)
        return msgspec.structs.replace(options, inject=tuple(options.inject))

    def check(self) -> None:
        """Refuse options that do not fit together.

        Raises:
            UsageError: Options contradict each other.
        """
        if self.torch_keys and Inject.FUNCTIONS in self.inject:
            raise UsageError(
                "--torch-keys cannot be used with --inject functions: torch's keys are absolute "
                "scopes, and a function stands for several modules."
            )
