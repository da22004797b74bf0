"""`modelexport extract`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import modelexport
from modelexport.cli.console import console, print_json
from modelexport.cli.options import common
from modelexport.cli.options.groups import expand_groups
from modelexport.cli.options.placement import PlacementOptions
from modelexport.cli.part_folders import (
    is_folder,
    parts_that_have,
)
from modelexport.cli.stdio_files import (
    check_named,
    check_one_reader,
    check_one_writer,
    input_file,
    output_file,
)
from modelexport.cli.step_progress import step_progress
from modelexport.cli.verbosity import verbosity
from modelexport.errors import UsageError
from modelexport.hierarchy.choices import PartRole, TextFormat
from modelexport.hierarchy.place_options import PlaceKeywords
from modelexport.support.error_texts import listed
from modelexport.support.folders import atomic_folder
from modelexport.support.stdio import STDIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from modelexport.cli.tables import Grid
    from modelexport.hierarchy.part_files import PartFiles
    from modelexport.rewriter.extraction.results import Extraction

_MAX_READERS = 2
"""Maximum number of modules that the table names as readers of a tensor."""


@expand_groups
def extract(
    context: typer.Context,
    model: common.AnyFile,
    modules: Annotated[
        list[str],
        typer.Argument(
            metavar="MODULE...",
            help="The module: its path or tag; PATH@1 for its second call, layer.0-2 for several, "
            "or a pattern. Several modules become one file.",
        ),
    ],
    *,
    output: common.Output,
    partly: common.Partly = False,
    check: common.CheckParts = False,
    save_inputs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz", help="Run the whole file, and save the inputs of the module."
        ),
    ] = None,
    placement: PlacementOptions,
    force: common.Force = False,
    output_format: common.OutputFormat = TextFormat.TEXT,
) -> None:
    """Write a module as a runnable file of its own, with its hierarchy and its weights."""
    if placement.no_run and (check or save_inputs is not None):
        raise UsageError("--no-run cannot be used with --check or --save-inputs: they run files.")

    def extract_from(path: Path, target: Path | None, keywords: PlaceKeywords) -> "Extraction":
        return modelexport.extract(
            path,
            modules,
            target,
            partly=partly,
            check=check and target is not None,
            save_inputs=None if target is None else save_inputs,
            **keywords,
            force=force,
        )

    if is_folder(model):
        check_named(**{"-o": output, "--record": placement.record})
        with step_progress(context):
            results = _extract_from_parts(
                model, output, placement, save_inputs, extract_from, force=force
            )
        if output_format is TextFormat.JSON:
            print_json(results)
        elif not verbosity(context).quiet:
            for role, part_result in results.items():
                _print_result(part_result, f"{output} ({role.words})", console())
        if any(part_result.equal is False for part_result in results.values()):
            raise typer.Exit(1)
        return
    check_one_reader(**{"FILE": model, "--record": placement.record})
    check_one_writer(output, output_format=output_format)
    with output_file(output) as target, step_progress(context), input_file(model) as path:
        result = extract_from(path, target, placement.keywords())
    if output_format is TextFormat.JSON:
        print_json(result)
    elif not verbosity(context).quiet:
        _print_result(result, str(output), console(stderr=output == STDIO))
    if result.equal is False:
        raise typer.Exit(1)


def _extract_from_parts(
    folder: Path,
    output: Path,
    placement: PlacementOptions,
    save_inputs: Path | None,
    extract_from: "Callable[[Path, Path | None, PlaceKeywords], Extraction]",
    *,
    force: bool,
) -> "dict[PartRole, Extraction]":
    """Extract the modules from each part that has them.

    Args:
        folder: The folder of parts.
        output: A folder that gets a file for each of these parts, with the name of the part's file;
            or one ONNX file, if one part has the modules.
        placement: How the hierarchy of the parts is found.
        save_inputs: A file for the inputs of the modules, if one part has them.
        extract_from: Extracts from one file; without a target it writes nothing.
        force: Whether existing files may be overwritten.

    Raises:
        NoSuchModuleError: No part has the modules.
        UsageError: Several parts have them, and there is one file to write.
    """

    def sources(part: "PartFiles") -> PlaceKeywords:
        return placement.keywords(part)

    parts = parts_that_have(
        folder, lambda part: (part, extract_from(part.onnx, None, sources(part)))
    )
    names = ", ".join(role.words for role in parts)
    is_file = output.suffix == ".onnx"
    if len(parts) > 1 and (is_file or save_inputs is not None):
        option = f"-o {output}" if is_file else "--save-inputs"
        raise UsageError(
            f"{option}: one file, but several parts have the module ({names}): name a folder with "
            "-o, or give the file of one part."
        )
    if is_file:
        return {role: extract_from(p.onnx, output, sources(p)) for role, (p, _) in parts.items()}
    if output.exists() and output.samefile(folder):
        raise UsageError(f"{output}: the output is also an input; choose another name.")
    with atomic_folder(output, force=force) as stage:
        return {
            role: extract_from(part.onnx, stage / part.onnx.name, sources(part))
            for role, (part, _) in parts.items()
        }


def _print_result(result: "Extraction", output: str, out: "Console") -> None:
    from modelexport.cli.tables import plural, short_count  # noqa: PLC0415 - loads rich

    weights = f"{short_count(result.weight_bytes)} bytes of weights"
    out.print(f"{output}: {plural(result.nodes, 'node')}, {weights}")
    out.print(_boundary(result))
    if result.equal is not None:
        verdict = "equal to the whole file, bit for bit"
        if not result.equal:
            verdict = f"NOT equal to the whole file in {', '.join(result.different)}"
        out.print(f"  {verdict}")
    for note in result.notes:
        out.print(f"  note: {note}")


def _boundary(result: "Extraction") -> "Grid":
    """The inputs and outputs as a table."""
    from modelexport.cli.tables import Grid  # noqa: PLC0415 - loads rich

    rows = []
    for direction, tensors in (("in", result.inputs), ("out", result.outputs)):
        for tensor in tensors:
            shape = "?" if tensor.shape is None else _shape_text(tensor.shape)
            source = " ".join(filter(None, [tensor.source, tensor.op_type]))
            readers = listed(tensor.readers, _MAX_READERS)
            rows.append([direction, tensor.name, tensor.type.lower(), shape, source, readers])
    return Grid(["", "name", "type", "shape", "computed by", "read by"], rows, ["read by"])


def _shape_text(shape: Sequence[int | str]) -> str:
    """A shape; names of dimensions stand apart, so that they can be read."""
    named = any(isinstance(extent, str) and extent for extent in shape)
    return (" x " if named else "x").join(str(extent or "?") for extent in shape)
