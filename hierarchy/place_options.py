"""How the modules of a file's nodes are found: by its own tags, a record, or an annotated file."""

from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import msgspec

from modelexport.errors import UsageError
from modelexport.hierarchy.annotate_options import DEFAULT_MEMORY, MatchOptions

if TYPE_CHECKING:
    from modelexport.hierarchy.record import Record


class PlaceKeywords(TypedDict, total=False):
    """The types of `PlaceOptions` as keyword arguments, for type checkers and editors."""

    record: "Record | str | Path | None"
    inherit_from: str | Path | None
    run: bool
    libraries: tuple[Path, ...]
    memory: int


class PlaceOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the nodes of a file are placed in modules, where it does not have tags for all of them.

    Every function that needs the modules of a file takes these options by name.

    Attributes:
        record: A trace record of the model, or its path.
        inherit_from: An annotated file that this file was made from, in place of a record.
        run: Whether the file may be run to match it. Running it executes the operators in it.
        libraries: Custom operator libraries that onnxruntime loads first, whenever the file runs.
        memory: Maximum bytes of values that are in memory at one time, about, where the file is
            run to match it.

    Raises:
        UsageError: There are both a record and an annotated file.
    """

    record: "Record | str | Path | None" = None
    inherit_from: str | Path | None = None
    run: bool = True
    libraries: tuple[Path, ...] = ()
    memory: int = DEFAULT_MEMORY

    def __post_init__(self) -> None:
        if self.record is not None and self.inherit_from is not None:
            raise UsageError("--from and --record exclude each other: give one of them.")

    @property
    def matching(self) -> MatchOptions:
        """How the file is matched."""
        libraries = self.libraries if self.run else ()
        return MatchOptions(run=self.run, libraries=libraries, memory=self.memory)
