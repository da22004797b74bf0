"""`modelexport select`."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

import modelexport
from modelexport.cli.console import print_document, print_json_text, print_notes
from modelexport.cli.options import common
from modelexport.cli.options.groups import expand_groups
from modelexport.cli.options.placement import PlacementOptions
from modelexport.cli.options.selecting import NodeOptions, ToolOptions
from modelexport.cli.part_folders import is_folder, parts_that_have, with_each_part
from modelexport.cli.stdio_files import check_named, check_one_reader, input_file
from modelexport.cli.step_progress import step_progress
from modelexport.cli.verbosity import verbosity
from modelexport.hierarchy.choices import PartRole, SelectionFormat

if TYPE_CHECKING:
    from modelexport.hierarchy.part_files import PartFiles
    from modelexport.rewriter import Selection


@expand_groups
def select(
    context: typer.Context,
    model: common.AnyFile,
    *,
    nodes: NodeOptions,
    tool: ToolOptions,
    placement: PlacementOptions,
    force: common.Force = False,
) -> None:
    """Print the nodes of some modules in the form that a quantiser, converter or splitter takes.

    Modules, classes, operators and lines narrow each other; with none selected the exit code is 2.
    """
    tool.check()
    check_named(**{"-o": tool.output})
    quiet = verbosity(context).quiet
    if is_folder(model):
        check_named(**{"--record": placement.record})
        with step_progress(context):
            selections = _select_in_parts(model, nodes, tool, placement, force=force)
        _print_parts(selections, tool, quiet=quiet)
        return
    check_one_reader(**{"FILE": model, "--record": placement.record})
    from modelexport.rewriter.selection import tool_formats  # noqa: PLC0415 - loads onnx

    with step_progress(context), input_file(model) as path:
        selection = modelexport.select_nodes(path, **nodes.keywords(), **placement.keywords())
        text = tool_formats.format_selection(selection, tool.output_format, tool.device_name)
        if tool.output is not None:
            tool_formats.annotate_layers(
                path, selection, tool.output, tool.device_name, force=force
            )
    if tool.output_format is SelectionFormat.JSON:
        print_json_text(text + "\n")
        return
    print_document(text)
    if not quiet:
        print_notes(selection.file, selection.notes)


def _select_in_parts(
    folder: Path, nodes: NodeOptions, tool: ToolOptions, placement: PlacementOptions, *, force: bool
) -> "dict[PartRole, Selection]":
    """The selection in each part that has such nodes; with an output, an annotated folder."""
    from modelexport.rewriter.selection import tool_formats  # noqa: PLC0415 - loads onnx

    def select_in_part(part: "PartFiles") -> "Selection":
        return modelexport.select_nodes(part.onnx, **nodes.keywords(), **placement.keywords(part))

    selections = parts_that_have(folder, select_in_part)

    def annotate_part(part: "PartFiles", target: Path | None) -> None:
        selection = selections.get(part.role)
        assert target is not None
        tool_formats.annotate_layers(part.onnx, selection, target, tool.device_name)

    if tool.output is not None:
        with_each_part(folder, tool.output, annotate_part, force=force)
    return selections


def _print_parts(
    selections: "dict[PartRole, Selection]", tool: ToolOptions, *, quiet: bool
) -> None:
    """Print the selection of each part: JSON as one object by part, other texts with titles."""
    from modelexport.rewriter.selection import tool_formats  # noqa: PLC0415 - loads onnx

    texts = {
        role: tool_formats.format_selection(selection, tool.output_format, tool.device_name)
        for role, selection in selections.items()
    }
    if tool.output_format in tool_formats.JSON_FORMATS:
        print_json_text(tool_formats.joined_json(texts) + "\n")
    else:
        for role, text in texts.items():
            print_document(f"# {role.words}\n{text}")
    if tool.output_format is not SelectionFormat.JSON and not quiet:
        for role, selection in selections.items():
            print_notes(f"{selection.file} ({role.words})", selection.notes)
