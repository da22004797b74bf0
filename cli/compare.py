"""`modelexport compare`."""

from pathlib import Path
from typing import Annotated

import typer

import modelexport
from modelexport.cli.console import console, print_document, print_json
from modelexport.cli.options import common
from modelexport.cli.options.matching import CustomOps, NoRun
from modelexport.cli.stdio_files import check_one_reader, input_file
from modelexport.cli.step_progress import step_progress
from modelexport.cli.verbosity import verbosity
from modelexport.errors import UsageError
from modelexport.hierarchy.choices import ComparisonFormat


def compare(  # noqa: PLR0913 - a parameter is an option of the command
    context: typer.Context,
    a: Annotated[
        Path,
        typer.Argument(metavar="A.onnx", help="The reference file; - for standard input."),
    ],
    b: Annotated[
        Path,
        typer.Argument(metavar="B.onnx", help="The file to compare with it; - for standard input."),
    ],
    *,
    record: common.RecordSource = None,
    numeric: Annotated[
        bool,
        typer.Option(
            "--numeric", help="Run both files on the same inputs, and show where values diverge."
        ),
    ] = False,
    probe: Annotated[
        Path | None,
        typer.Option(
            metavar="INPUTS.npz",
            help="Inputs by name for --numeric; by default those of the record, or random ones.",
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Relative distance from which values diverge under --numeric; 0.0001 by default.",
        ),
    ] = None,
    custom_ops: CustomOps = None,
    no_run: NoRun = False,
    depth: common.ShownDepth = None,
    module: common.ShownModule = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also show modules and values without a difference.")
    ] = False,
    output_format: Annotated[
        ComparisonFormat, typer.Option(help="Format of the result.")
    ] = ComparisonFormat.TEXT,
) -> None:
    """Show by module what differs between two files of a model; exit with 1 if something does.

    A file that is not annotated is matched with the record, or with the other file. With --module
    the answer is about that module only. With --depth the deepest modules that are shown stand
    for all modules inside them.
    """
    if not numeric and (probe is not None or tolerance is not None or custom_ops):
        raise UsageError("--probe, --tolerance and --custom-ops need --numeric.")
    if numeric and no_run:
        raise UsageError("--numeric cannot be used with --no-run: it runs both files.")
    check_one_reader(**{"A.onnx": a, "B.onnx": b, "--record": record})
    from modelexport.cli import render_comparison  # noqa: PLC0415 - loads rich

    settings = None
    if numeric:
        default = modelexport.Numeric().tolerance
        tolerance = default if tolerance is None else tolerance
        settings = modelexport.Numeric(probe, tolerance, tuple(custom_ops or ()))
    with step_progress(context), input_file(a) as file_a, input_file(b) as file_b:
        result = modelexport.compare(
            file_a,
            file_b,
            record=record,
            run=not no_run,
            numeric=settings,
            module=module,
            depth=depth,
        )
    if output_format is ComparisonFormat.JSON:
        print_json(result)
    elif output_format is ComparisonFormat.MARKDOWN:
        print_document(render_comparison.markdown(result, every=every))
    elif not (result.same and verbosity(context).quiet):
        for part in render_comparison.text(result, every=every):
            console().print(part)
    if not result.same:
        raise typer.Exit(1)
