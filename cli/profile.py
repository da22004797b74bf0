"""`modelexport profile`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import modelexport
from modelexport.cli.console import console
from modelexport.cli.options import common
from modelexport.cli.options.groups import expand_groups
from modelexport.cli.options.profiling import (
    ProfileFileOptions,
    ProfileImportOptions,
    ProfileRunOptions,
)
from modelexport.cli.part_folders import is_folder, parts_by_role
from modelexport.cli.print_profile import ProfilePrinter, print_profile_notes
from modelexport.cli.stdio_files import check_one_reader, input_file
from modelexport.cli.step_progress import step_progress
from modelexport.cli.verbosity import verbosity
from modelexport.errors import UsageError
from modelexport.hierarchy.choices import ProfileFormat, ProfileOrder, ProfileRows

if TYPE_CHECKING:
    from modelexport.rewriter import PartsProfile, Profile


@expand_groups
def profile(  # noqa: PLR0913 - a parameter is an option of the command
    context: typer.Context,
    models: common.OneOrTwoFiles,
    *,
    record: common.RecordSource = None,
    inherit_from: common.InheritFrom = None,
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
    by: Annotated[
        ProfileRows,
        typer.Option(
            help="Show times by module, or by line of Python, the longest first. Lines come from "
            "--record, or from a file that was annotated with --source-lines."
        ),
    ] = ProfileRows.MODULE,
    every_module: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Show every module in the tree. By default equal siblings are one entry, such as "
            "layer.(0-5).",
        ),
    ] = False,
    sort: Annotated[ProfileOrder, typer.Option(help="Order of the modules.")] = ProfileOrder.MODEL,
    output_format: Annotated[
        ProfileFormat, typer.Option(help="Format of the result.")
    ] = ProfileFormat.TREE,
    force: common.Force = False,
) -> None:
    """Run an ONNX file, and show by module where the time goes."""
    _check_models(models, for_one_file=files.any() or importing.imported is not None)
    _check_rows(by, sort, has_depth=depth is not None, every=every_module, two=len(models) == 2)
    files.check_output(output_format)
    if importing.imported is not None:
        running.check_import()
    inputs = {f"FILE {number}": path for number, path in enumerate(models)}
    check_one_reader(**inputs, **{"--record": record, "--import": importing.imported})

    with (
        importing.imported_profile() as imported,
        files.profile_files() as written,
        step_progress(context),
    ):
        keywords: dict[str, Any] = {
            "imported": imported,
            "options": running.profile_options(),
            "files": written,
            "force": force,
        }
        shown: dict[str, Any] = {"module": module, "depth": depth, "sort": sort}
        sources: dict[str, Any] = {"record": record, "inherit_from": inherit_from}
        profiles = [_profile(model, sources, keywords, shown) for model in models]
    printer = ProfilePrinter(output_format, every_module, console(stderr=files.uses_stdout()))
    if by is ProfileRows.LINE:
        printer.print_lines(profiles)
    else:
        printer.print_modules(profiles)
    if output_format is not ProfileFormat.JSON and not verbosity(context).quiet:
        for result in profiles:
            print_profile_notes(result)


def _profile(
    model: Path, sources: dict[str, Any], keywords: dict[str, Any], shown: dict[str, Any]
) -> "Profile | PartsProfile":
    """Profile a file, or each file in a folder of parts."""
    if is_folder(model):
        from modelexport.hierarchy.part_files import sources_of_part  # noqa: PLC0415 - only folders

        profiles = {
            role: modelexport.profile(
                part.onnx, **sources_of_part(part, **sources)._asdict(), **keywords
            )
            for role, part in parts_by_role(model).items()
        }
        return modelexport.sum_profiles(profiles, model.name, **shown)
    with input_file(model) as path:
        return modelexport.profile(path, **sources, **keywords, **shown)


def _check_models(models: list[Path], *, for_one_file: bool) -> None:
    """Refuse more than two files, and what only one file can have.

    Args:
        models: The files or folders.
        for_one_file: Whether there is an option that is for one file.

    Raises:
        UsageError: They do not go together.
    """
    if len(models) > 2:
        raise UsageError("profile takes one file, or two to show side by side.")
    if len(models) == 2 and for_one_file:
        raise UsageError("--import and files for other tools are for one model: give one FILE.")
    if is_folder(models[0]) and for_one_file:
        raise UsageError(
            f"{models[0]}: --import and files for other tools are for one file of this folder."
        )


def _check_rows(
    by: ProfileRows, sort: ProfileOrder, *, has_depth: bool, every: bool, two: bool
) -> None:
    """Refuse options that would change nothing.

    Raises:
        UsageError: There is one.
    """
    if by is ProfileRows.LINE and (has_depth or every or sort is not ProfileOrder.MODEL):
        raise UsageError("--depth, --all and --sort are for modules; --by line sorts by time.")
    if two and (every or sort is not ProfileOrder.MODEL):
        raise UsageError(
            "--all and --sort are for one FILE; of two, the largest difference is first."
        )
