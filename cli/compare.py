"""`modelexport compare`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from modelexport.cli import option_checks, options
from modelexport.cli.output import console, print_json, progress, talk
from modelexport.cli.stdio_files import readable
from modelexport.errors import UsageError


class ComparisonFormat(StrEnum):
    """How a comparison is printed."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


def compare(  # noqa: PLR0913 - a parameter is an option of the command
    context: typer.Context,
    a: Annotated[
        Path,
        typer.Argument(
            metavar="A.onnx", help="The file that counts as right, - for standard input."
        ),
    ],
    b: Annotated[
        Path, typer.Argument(metavar="B.onnx", help="The file that is held against it, - likewise.")
    ],
    *,
    record: options.RecordSource = None,
    numeric: Annotated[
        bool,
        typer.Option("--numeric", help="Run both on the same inputs, and show where they part."),
    ] = False,
    probe: Annotated[
        Path | None,
        typer.Option(
            metavar="INPUTS.npz",
            help="Inputs for --numeric by name; else the record's are taken, or some generated.",
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Relative distance from which on values diverge under --numeric; 0.0001 by "
            "default.",
        ),
    ] = None,
    custom_ops: options.CustomOps = None,
    no_run: options.NoRun = False,
    depth: options.ShownDepth = None,
    module: options.ShownModule = None,
    every: Annotated[
        bool, typer.Option("--all", help="Show modules and values without a difference too.")
    ] = False,
    output_format: Annotated[
        ComparisonFormat, typer.Option(help="How to print the result.")
    ] = ComparisonFormat.TEXT,
) -> None:
    """Show by module what differs between two files of a model; exits with 1 when something does.

    A file that is not annotated is matched with the record, or with the other file. With --module
    the answer is about that module alone; with --depth the deepest modules that are shown stand
    for all inside them.
    """
    if not numeric and (probe is not None or tolerance is not None or custom_ops):
        raise UsageError("--probe, --tolerance and --custom-ops are for --numeric: add it.")
    if numeric and no_run:
        raise UsageError("--numeric runs both files: it does not fit --no-run.")
    option_checks.one_reader(**{"A.onnx": a, "B.onnx": b, "--record": record})
    from modelexport.cli import render_comparison  # noqa: PLC0415 - rich loads when it is needed
    from modelexport.rewriter import Numeric  # noqa: PLC0415 - and onnx
    from modelexport.rewriter import compare as run  # noqa: PLC0415

    wanted = Numeric(
        probe, Numeric().tolerance if tolerance is None else tolerance, tuple(custom_ops or ())
    )
    with progress(context), readable(a) as left, readable(b) as right:
        result = run(
            left,
            right,
            record=record,
            run=not no_run,
            numeric=wanted if numeric else None,
            module=module,
            depth=depth,
        )
    if output_format is ComparisonFormat.JSON:
        print_json(result)
    elif output_format is ComparisonFormat.MARKDOWN:
        typer.echo(render_comparison.markdown(result, every=every))
    elif not (result.same and talk(context).quiet):
        for part in render_comparison.text(result, every=every):
            console().print(part)
    if not result.same:
        raise typer.Exit(1)
