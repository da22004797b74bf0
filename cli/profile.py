"""`modelexport profile`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import modelexport
from modelexport.cli.console import console, print_document, print_json
from modelexport.cli.options import common
from modelexport.cli.options.groups import expand_groups
from modelexport.cli.options.profiling import (
    ProfileFileOptions,
    ProfileImportOptions,
    ProfileRunOptions,
)
from modelexport.cli.stdio_files import check_one_reader, input_file
from modelexport.cli.step_progress import step_progress
from modelexport.cli.verbosity import verbosity
from modelexport.errors import UsageError
from modelexport.hierarchy.choices import ProfileFormat, ProfileOrder

if TYPE_CHECKING:
    from modelexport.rewriter import Profile


@expand_groups
def profile(  # noqa: PLR0913 - a parameter is an option of the command
    context: typer.Context,
    models: common.OneOrTwoFiles,
    *,
    record: common.RecordSource = None,
    inherit_from: Annotated[Path | None, common.inherit_from_option()] = None,
    running: ProfileRunOptions,
    importing: ProfileImportOptions,
    files: ProfileFileOptions,
    depth: common.ShownDepth = None,
    module: Annotated[
        str | None,
        typer.Option(
            "--module",
            metavar="GLOB",
            help="Show only these modules (path, tag or pattern) and those inside them.",
        ),
    ] = None,
    sort: Annotated[ProfileOrder, typer.Option(help="Order of the modules.")] = ProfileOrder.MODEL,
    output_format: Annotated[
        ProfileFormat, typer.Option(help="Format of the result.")
    ] = ProfileFormat.TREE,
    force: common.Force = False,
) -> None:
    """Run an ONNX file, and show by module where the time goes."""
    if len(models) > 2:
        raise UsageError("profile takes one file, or two to show side by side.")
    if len(models) == 2 and (files.any() or importing.imported_profile() is not None):
        raise UsageError("--import and files for other tools are for one model: give one FILE.")
    check_one_reader(**{f"FILE {n}": path for n, path in enumerate(models)}, record=record)
    profiles = []
    with step_progress(context):
        for model in models:
            with input_file(model) as path:
                profiles.append(
                    modelexport.profile(
                        path,
                        record=record,
                        inherit_from=inherit_from,
                        imported=importing.imported_profile(),
                        options=running.profile_options(),
                        files=files.profile_files(),
                        force=force,
                        module=module,
                        depth=depth,
                        sort=sort,
                    )
                )
    _print(profiles, output_format)
    if output_format is not ProfileFormat.JSON and not verbosity(context).quiet:
        for result in profiles:
            for note in result.notes:
                console(stderr=True).print(f"{result.file}: note: {note}")


def _print(profiles: "list[Profile]", output_format: ProfileFormat) -> None:
    from modelexport.cli import render_profile  # noqa: PLC0415 - rich loads when it is needed

    first = profiles[0]
    if output_format is ProfileFormat.CSV:
        render_profile.write_csv(profiles)
    elif len(profiles) == 2:
        comparison = modelexport.compare_profiles(*profiles)
        grid = render_profile.side_by_side(comparison)
        if output_format is ProfileFormat.JSON:
            print_json(comparison)
        elif output_format is ProfileFormat.MARKDOWN:
            print_document(grid.markdown())
        else:
            console().print(grid)
    elif output_format is ProfileFormat.JSON:
        print_json(first)
    elif output_format is ProfileFormat.MARKDOWN:
        grids = [render_profile.table(first), render_profile.operators(first)]
        print_document("\n\n".join([render_profile.summary(first), *(g.markdown() for g in grids)]))
    elif output_format is ProfileFormat.TABLE:
        console().print(render_profile.table(first))
        console().print(render_profile.operators(first))
        console().print(render_profile.summary(first))
    else:
        for part in render_profile.tree(first):
            console().print(part)
