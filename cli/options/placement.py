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
        keywords: PlaceKeywords = {
            "record": self.record,
            "inherit_from": self.inherit_from,
            "run": not self.no_run,
            "libraries": tuple(self.custom_ops or ()),
            "memory": memory_bytes(self.memory),
        }
        if part is not None:
            from modelexport.hierarchy.part_files import (  # noqa: PLC0415 - only folders
                sources_of_part,
            )

            sources = sources_of_part(part, self.record, self.inherit_from)
            keywords |= {"record": sources.record, "inherit_from": sources.inherit_from}
        return keywords
