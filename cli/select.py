"""`modelexport select`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import modelexport
from modelexport.cli.console import console, print_document, print_json_text
from modelexport.cli.options import common
from modelexport.cli.options.groups import expand_groups
from modelexport.cli.options.placement import PlacementOptions
from modelexport.cli.part_folders import (
    is_folder,
    parts_that_have,
    title,
    with_each_part,
)
from modelexport.cli.stdio_files import check_named, check_one_reader, input_file
from modelexport.cli.step_progress import step_progress
from modelexport.cli.verbosity import verbosity
from modelexport.errors import UsageError
from modelexport.hierarchy.choices import PartRole, SelectionFormat
from modelexport.hierarchy.place_options import PlaceKeywords

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelexport.hierarchy.part_files import PartFiles
    from modelexport.rewriter import Selection


@expand_groups
def select(  # noqa: PLR0913 - a parameter is an option of the command
    context: typer.Context,
    model: common.AnyFile,
    *,
    module: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Nodes of this module and those inside it: its path, its tag, a pattern "
            "('encoder.layer.*') or a range (encoder.layer.0-2); PATH@1 is its second call. May be "
            "repeated.",
        ),
    ] = None,
    class_name: Annotated[
        list[str] | None,
        typer.Option(
            "--class", metavar="GLOB", help="Nodes in modules of this class; may be repeated."
        ),
    ] = None,
    op_type: Annotated[
        list[str] | None,
        typer.Option(metavar="OPERATOR", help="Nodes of this operator; may be repeated."),
    ] = None,
    line: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE:N",
            help="Nodes of this line of Python, of lines FILE:N-M, or of the whole FILE; may be "
            "repeated. Lines come from --record, or from annotate --source-lines.",
        ),
    ] = None,
    inverted: Annotated[bool, typer.Option("--not", help="All other nodes.")] = False,
    partly: common.Partly = False,
    output_format: Annotated[
        SelectionFormat,
        typer.Option(
            "--format",
            "--output-format",
            help="The tool that gets the nodes: it leaves them as they are. See the guide.",
        ),
    ] = SelectionFormat.NAMES,
    device: Annotated[
        str | None,
        typer.Option(
            help="With --format layer-ann: the device that gets the nodes; cpu by default."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.onnx",
            help="With --format layer-ann: the copy whose nodes carry the device.",
        ),
    ] = None,
    placement: PlacementOptions,
    force: common.Force = False,
) -> None:
    """Print the nodes of some modules in the form that a quantiser, converter or splitter takes.

    Modules, classes, operators and lines narrow each other; with none selected the exit code is 2.
    """
    for_devices = output_format is SelectionFormat.LAYER_ANN
    if for_devices and output is None:
        raise UsageError("--format layer-ann needs -o OUT.onnx: nodes carry the annotation.")
    if not for_devices and (output is not None or device is not None):
        raise UsageError("-o and --device need --format layer-ann.")
    check_named(**{"-o": output})

    def choose(path: Path, keywords: PlaceKeywords) -> "Selection":
        return modelexport.select_nodes(
            path,
            module or (),
            classes=class_name or (),
            op_types=op_type or (),
            lines=line or (),
            inverted=inverted,
            partly=partly,
            **keywords,
        )

    if is_folder(model):
        check_named(**{"--record": placement.record})
        with step_progress(context):
            selections = _select_in_parts(model, placement, choose, output, device, force=force)
        _print_parts(selections, output_format, device, quiet=verbosity(context).quiet)
        return
    check_one_reader(**{"FILE": model, "--record": placement.record})
    from modelexport.rewriter.selection import tool_formats  # noqa: PLC0415 - loads onnx

    with step_progress(context), input_file(model) as path:
        selection = choose(path, placement.keywords())
        text = tool_formats.format_selection(selection, output_format, device or "cpu")
        if output is not None:
            tool_formats.annotate_layers(path, selection, output, device or "cpu", force=force)
    if output_format is SelectionFormat.JSON:
        print_json_text(text + "\n")
        return
    print_document(text)
    if not verbosity(context).quiet:
        _print_notes(selection, selection.file)


def _select_in_parts(
    folder: Path,
    placement: PlacementOptions,
    choose: "Callable[[Path, PlaceKeywords], Selection]",
    output: Path | None,
    device: str | None,
    *,
    force: bool,
) -> "dict[PartRole, Selection]":
    """The selection in each part that has such nodes; with an output, an annotated folder."""
    from modelexport.rewriter.selection import tool_formats  # noqa: PLC0415 - loads onnx

    def choose_in_part(part: "PartFiles") -> "Selection":
        return choose(part.onnx, placement.keywords(part))

    selections = parts_that_have(folder, choose_in_part)

    def annotate_part(part: "PartFiles", target: Path | None) -> None:
        chosen = selections.get(part.role)
        assert target is not None
        tool_formats.annotate_layers(part.onnx, chosen, target, device or "cpu")

    if output is not None:
        with_each_part(folder, output, annotate_part, force=force)
    return selections


def _print_parts(
    selections: "dict[PartRole, Selection]",
    output_format: SelectionFormat,
    device: str | None,
    *,
    quiet: bool,
) -> None:
    """Print the selection of each part: JSON as one object by part, other texts with titles."""
    from modelexport.rewriter.selection import tool_formats  # noqa: PLC0415 - loads onnx

    texts = {
        role: tool_formats.format_selection(selection, output_format, device or "cpu")
        for role, selection in selections.items()
    }
    if output_format in tool_formats.JSON_FORMATS:
        print_json_text(tool_formats.joined_json(texts) + "\n")
    else:
        for role, text in texts.items():
            print_document(f"# {title(role)}\n{text}")
    if output_format is not SelectionFormat.JSON and not quiet:
        for role, selection in selections.items():
            _print_notes(selection, f"{selection.file} ({title(role)})")


def _print_notes(selection: "Selection", name: str) -> None:
    for note in selection.notes:
        console(stderr=True).print(f"{name}: note: {note}")
