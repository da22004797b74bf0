"""`modelexport select`."""

from pathlib import Path
from typing import Annotated

import typer

import modelexport
from modelexport.cli.console import console, print_document, print_json_text
from modelexport.cli.options import common
from modelexport.cli.options.groups import expand_groups
from modelexport.cli.options.placement import PlacementOptions
from modelexport.cli.stdio_files import check_one_reader, input_file
from modelexport.cli.step_progress import step_progress
from modelexport.cli.verbosity import verbosity
from modelexport.errors import UsageError
from modelexport.hierarchy.choices import SelectionFormat


@expand_groups
def select(  # noqa: PLR0913 - a parameter is an option of the command
    context: typer.Context,
    model: common.AnyFile,
    *,
    module: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Nodes of this module and those inside it: its path, its tag, or a pattern "
            "('encoder.layer.*'); PATH@1 is its second call. May be repeated.",
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
    inverted: Annotated[bool, typer.Option("--not", help="All other nodes.")] = False,
    partly: Annotated[
        bool,
        typer.Option("--partly", help="Also fused nodes that do only some of the modules' work."),
    ] = False,
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

    Modules, classes and operators narrow each other; with none selected the exit code is 2.
    """
    for_devices = output_format is SelectionFormat.LAYER_ANN
    if for_devices and output is None:
        raise UsageError("--format layer-ann needs -o OUT.onnx: nodes carry the annotation.")
    if not for_devices and (output is not None or device is not None):
        raise UsageError("-o and --device need --format layer-ann.")
    check_one_reader(**{"FILE": model, "--record": placement.record})
    from modelexport.rewriter.selection import tool_formats  # noqa: PLC0415 - loads onnx

    with step_progress(context), input_file(model) as path:
        selection = modelexport.select_nodes(
            path,
            module or (),
            classes=class_name or (),
            op_types=op_type or (),
            inverted=inverted,
            partly=partly,
            **placement.keywords(),
        )
        text = tool_formats.format_selection(selection, output_format, device or "cpu")
        if output is not None:
            tool_formats.annotate_layers(path, selection, output, device or "cpu", force=force)
    if output_format is SelectionFormat.JSON:
        print_json_text(text + "\n")
        return
    print_document(text)
    if not verbosity(context).quiet:
        for note in selection.notes:
            console(stderr=True).print(f"{selection.file}: note: {note}")
