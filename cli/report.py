"""`modelexport report`."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

import modelexport
from modelexport.cli.console import console
from modelexport.cli.options import common
from modelexport.cli.options.groups import expand_groups
from modelexport.cli.options.placement import PlacementOptions
from modelexport.cli.part_folders import is_folder
from modelexport.cli.stdio_files import check_one_reader, input_file, output_file
from modelexport.cli.step_progress import step_progress
from modelexport.cli.verbosity import verbosity
from modelexport.errors import UsageError


@expand_groups
def report(
    context: typer.Context,
    models: common.OneOrTwoFiles,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="R.html", help="The page to write; - for standard output."
        ),
    ],
    placement: PlacementOptions,
    profile: Annotated[
        Path | None,
        typer.Option(
            metavar="P.json",
            help="Times to show: what profile --output-format json prints for one of the files.",
        ),
    ] = None,
    comparison: Annotated[
        Path | None,
        typer.Option(
            metavar="C.json",
            help="Errors to show: what compare --numeric --output-format json prints.",
        ),
    ] = None,
    dim: common.OpenDimensions = None,
    source_root: Annotated[
        Path | None,
        typer.Option(
            "--source-root",
            metavar="FOLDER",
            help="Show the code around source lines, from the Python files in this folder.",
        ),
    ] = None,
    force: common.Force = False,
) -> None:
    """Write a page that shows the modules of a file, or of two side by side, in any browser."""
    if len(models) > 2:
        raise UsageError("report takes one file, or two to show side by side.")
    from modelexport.rewriter.analysis.costs.shapes import parse_dimension  # noqa: PLC0415

    dims = dict(map(parse_dimension, dim or ()))
    check_one_reader(
        **{f"FILE {n}": path for n, path in enumerate(models)}, record=placement.record
    )
    second = models[1] if len(models) == 2 else None
    with ExitStack() as stack:
        target = stack.enter_context(output_file(output))
        stack.enter_context(step_progress(context))
        first = models[0]
        if not is_folder(first):
            first = stack.enter_context(input_file(first))
        files = modelexport.report(
            first,
            target or output,
            second,
            **placement.keywords(),
            profile=profile,
            comparison=comparison,
            dims=dims,
            source_root=source_root,
            force=force,
        )
    if not verbosity(context).quiet:
        for file in files:
            console(stderr=True).print(
                f"{file.file}: {len(file.modules)} modules, {file.tagged} of {file.nodes} nodes"
            )
