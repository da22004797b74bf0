"""Which nodes `select` chooses, and where they go."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypedDict

import typer

from modelexport.cli.options.common import Partly
from modelexport.errors import UsageError
from modelexport.hierarchy.choices import SelectionFormat

DEFAULT_DEVICE = "cpu"


class NodeKeywords(TypedDict):
    """The choice of nodes as `modelexport.select_nodes` takes it."""

    modules: Sequence[str]
    classes: Sequence[str]
    op_types: Sequence[str]
    lines: Sequence[str]
    inverted: bool
    partly: bool


@dataclass(frozen=True)
class NodeOptions:
    """The options that choose nodes."""

    module: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Nodes of this module and those inside it: its path, its tag, a pattern "
            "('encoder.layer.*') or a range (encoder.layer.0-2); PATH@1 is its second call. May be "
            "repeated.",
        ),
    ] = None
    class_name: Annotated[
        list[str] | None,
        typer.Option(
            "--class", metavar="GLOB", help="Nodes in modules of this class; may be repeated."
        ),
    ] = None
    op_type: Annotated[
        list[str] | None,
        typer.Option(metavar="OPERATOR", help="Nodes of this operator; may be repeated."),
    ] = None
    line: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE:N",
            help="Nodes of this line of Python, of lines FILE:N-M, or of the whole FILE; may be "
            "repeated. Lines come from --record, or from annotate --source-lines.",
        ),
    ] = None
    inverted: Annotated[bool, typer.Option("--not", help="All other nodes.")] = False
    partly: Partly = False

    def keywords(self) -> NodeKeywords:
        """The options as `modelexport.select_nodes` takes them."""
        return {
            "modules": self.module or (),
            "classes": self.class_name or (),
            "op_types": self.op_type or (),
            "lines": self.line or (),
            "inverted": self.inverted,
            "partly": self.partly,
        }


@dataclass(frozen=True)
class ToolOptions:
    """The options of giving nodes to a tool."""

    output_format: Annotated[
        SelectionFormat,
        typer.Option(
            "--format",
            "--output-format",
            help="The tool that gets the nodes: it leaves them as they are. See the guide.",
        ),
    ] = SelectionFormat.NAMES
    device: Annotated[
        str | None,
        typer.Option(
            help="With --format layer-ann: the device that gets the nodes; cpu by default."
        ),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.onnx",
            help="With --format layer-ann: the copy whose nodes carry the device.",
        ),
    ] = None

    @property
    def device_name(self) -> str:
        """The device that gets the nodes."""
        return self.device or DEFAULT_DEVICE

    def check(self) -> None:
        """Refuse a device or a copy that the format does not have, and a format without its copy.

        Raises:
            UsageError: The options do not go together.
        """
        for_devices = self.output_format is SelectionFormat.LAYER_ANN
        if for_devices and self.output is None:
            raise UsageError("--format layer-ann needs -o OUT.onnx: nodes carry the annotation.")
        if not for_devices and (self.output is not None or self.device is not None):
            raise UsageError("-o and --device need --format layer-ann.")
