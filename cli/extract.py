"""`modelexport extract`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import modelexport
from modelexport.cli.console import console, print_json
from modelexport.cli.options import common
from modelexport.cli.options.groups import expand_groups
from modelexport.cli.options.placement import PlacementOptions
from modelexport.cli.stdio_files import (
    check_one_reader,
    check_one_writer,
    input_file,
    output_file,
)
from modelexport.cli.step_progress import step_progress
from modelexport.cli.verbosity import verbosity
from modelexport.errors import UsageError
from modelexport.hierarchy.choices import TextFormat
from modelexport.support.stdio import STDIO

if TYPE_CHECKING:
    from modelexport.cli.tables import Grid
    from modelexport.rewriter.extraction.results import Extraction


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
    check_one_reader(**{"FILE": model, "--record": placement.record})
    check_one_writer(output, output_format=output_format)
    with output_file(output) as target, step_progress(context), input_file(model) as path:
        result = modelexport.extract(
            path,
            modules,
            target,
            check=check,
            save_inputs=save_inputs,
            **placement.keywords(),
            force=force,
        )
    if output_format is TextFormat.JSON:
        print_json(result)
    elif not verbosity(context).quiet:
        _print_result(result, output)
    if result.equal is False:
        raise typer.Exit(1)


def _print_result(result: "Extraction", output: Path) -> None:
    from modelexport.cli.tables import plural, short_count  # noqa: PLC0415 - loads rich

    out = console(stderr=output == STDIO)
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
            shape = "?" if tensor.shape is None else "x".join(str(e or "?") for e in tensor.shape)
            source = " ".join(filter(None, [tensor.source, tensor.op_type]))
            readers = "" if direction == "in" else ", ".join(tensor.readers[:2])
            rows.append([direction, tensor.name, tensor.type.lower(), shape, source, readers])
    return Grid(["", "name", "type", "shape", "computed by", "read by"], rows, ["read by"])
