"""The options by which a command finds the hierarchy of its file."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from modelexport.cli.options.common import InheritFrom
from modelexport.cli.options.matching import (
    DEFAULT_MEMORY_SIZE,
    CustomOps,
    Memory,
    NoRun,
    memory_bytes,
)
from modelexport.cli.part_folders import hierarchy_source
from modelexport.hierarchy.place_options import PlaceKeywords

if TYPE_CHECKING:
    from modelexport.hierarchy.part_files import PartFiles


@dataclass(frozen=True)
class PlacementOptions:
    """The options of finding the hierarchy of a file."""

    topic: ClassVar = "Hierarchy of a file that is not annotated"

    record: Annotated[
        Path | None,
        typer.Option(
            "--record",
            metavar="FILE",
            help="The trace record, for a file that is not annotated; - for standard input.",
        ),
    ] = None
    inherit_from: InheritFrom = None
    no_run: NoRun = False
    custom_ops: CustomOps = None
    memory: Memory = DEFAULT_MEMORY_SIZE

    def keywords(self, part: "PartFiles | None" = None) -> PlaceKeywords:
        """The options as the functions of `modelexport` take them.

        Args:
            part: The part of a folder that they are for; None for a file.
        """
        record, inherit_from = self.record, self.inherit_from
        if part is not None:
            record, inherit_from = hierarchy_source(part, record, inherit_from)
        return {
            "record": record,
            "inherit_from": inherit_from,
            "run": not self.no_run,
            "libraries": tuple(self.custom_ops or ()),
            "memory": memory_bytes(self.memory),
        }
