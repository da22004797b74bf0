"""The options by which a command finds the hierarchy of its file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypedDict

import typer

from modelexport.cli.options.common import inherit_from_option
from modelexport.cli.options.matching import CustomOps, NoRun

_TOPIC = "Hierarchy of a file that is not annotated"


class PlacementKeywords(TypedDict):
    """The options as the functions of `modelexport` take them."""

    record: Path | None
    inherit_from: Path | None
    run: bool
    libraries: tuple[Path, ...]


@dataclass(frozen=True)
class PlacementOptions:
    """The options of finding the hierarchy of a file."""

    record: Annotated[
        Path | None,
        typer.Option(
            "--record",
            metavar="FILE",
            help="The trace record, for a file that is not annotated; - for standard input.",
            rich_help_panel=_TOPIC,
        ),
    ] = None
    inherit_from: Annotated[Path | None, inherit_from_option(_TOPIC)] = None
    no_run: NoRun = False
    custom_ops: CustomOps = None

    def keywords(self) -> PlacementKeywords:
        """The options as the functions of `modelexport` take them."""
        return {
            "record": self.record,
            "inherit_from": self.inherit_from,
            "run": not self.no_run,
            "libraries": tuple(self.custom_ops or ()),
        }
