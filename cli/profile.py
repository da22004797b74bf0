"""`modelexport profile`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from modelexport.cli.part_folders import (
    HierarchySource,
    hierarchy_source,
    is_folder,
    parts_by_role,
)
from modelexport.cli.stdio_files import check_one_reader, input_file
from modelexport.cli.step_progress import step_progress
from modelexport.cli.verbosity import verbosity
from modelexport.errors import UsageError
from modelexport.hierarchy.choices import PartRole, ProfileFormat, ProfileOrder, ProfileRows
from modelexport.support.visible_text import visible_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from modelexport.rewriter import PartsProfile, Profile


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
        sources = HierarchySource(record, inherit_from)
        profiles = [_profile(model, sources, keywords, shown) for model in models]
    out = console(stderr=files.uses_stdout())
    if by is ProfileRows.LINE:
        _print_lines(profiles, output_format, out)
    else:
        _print(profiles, output_format, out, every_module=every_module)
    if output_format is not ProfileFormat.JSON and not verbosity(context).quiet:
        for result in profiles:
            _print_notes(result)


def _profile(
    model: Path, sources: HierarchySource, keywords: dict[str, Any], shown: dict[str, Any]
) -> "Profile | PartsProfile":
    """Profile a file, or each file in a folder of parts."""
    if is_folder(model):
        profiles = {
            role: modelexport.profile(
                part.onnx, **hierarchy_source(part, *sources)._asdict(), **keywords
            )
            for role, part in parts_by_role(model).items()
        }
        return modelexport.sum_profiles(profiles, model.name, **shown)
    with input_file(model) as path:
        return modelexport.profile(path, **sources._asdict(), **keywords, **shown)


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


def _print_notes(result: "Profile | PartsProfile") -> None:
    for profile in _profiles(result):
        for note in profile.notes:
            console(stderr=True).print(f"{profile.file}: note: {note}")


def _profiles(result: "Profile | PartsProfile") -> "list[Profile]":
    """The profile of a file; of a folder, that of each part."""
    from modelexport.rewriter import PartsProfile  # noqa: PLC0415 - loads onnx

    return list(result.parts.values()) if isinstance(result, PartsProfile) else [result]


def _whole(result: "Profile | PartsProfile") -> "Profile":
    """The profile of a file; of a folder, that of all parts together."""
    from modelexport.rewriter import PartsProfile  # noqa: PLC0415 - loads onnx

    return result.whole if isinstance(result, PartsProfile) else result


def _print_lines(
    profiles: "list[Profile | PartsProfile]", output_format: ProfileFormat, out: "Console"
) -> None:
    """Print times by line of Python.

    Raises:
        UsageError: No lines are known of a file.
    """
    from modelexport.cli import render_line_times  # noqa: PLC0415 - rich loads when it is needed
    from modelexport.cli.render_profile import (  # noqa: PLC0415 - likewise
        file_summaries,
        summary,
    )

    wholes = list(map(_whole, profiles))
    for whole in wholes:
        if not whole.lines:
            raise UsageError(
                f"{whole.file}: no source lines are known. Give --record RECORD, or annotate the "
                "file with --source-lines."
            )
    comparison = modelexport.compare_profiles(*wholes) if len(wholes) == 2 else None
    if output_format is ProfileFormat.JSON:
        print_json(comparison or profiles[0])
        return
    if output_format is ProfileFormat.CSV:
        render_line_times.write_csv([p for profile in profiles for p in _profiles(profile)])
        return
    if comparison is None:
        grid, texts = render_line_times.table(wholes[0]), [summary(wholes[0])]
    else:
        grid, texts = render_line_times.side_by_side(comparison), list(file_summaries(wholes))
    if output_format is ProfileFormat.MARKDOWN:
        print_document("\n\n".join([*texts, grid.markdown()]))
        return
    for part in (grid, *map(visible_line, texts)):
        out.print(part)


def _print(
    profiles: "list[Profile | PartsProfile]",
    output_format: ProfileFormat,
    out: "Console",
    *,
    every_module: bool,
) -> None:
    from modelexport.cli import render_profile  # noqa: PLC0415 - rich loads when it is needed
    from modelexport.rewriter import PartsProfile  # noqa: PLC0415 - loads onnx

    first = profiles[0]
    if output_format is ProfileFormat.CSV:
        render_profile.write_csv([p for profile in profiles for p in _profiles(profile)])
    elif len(profiles) == 2:
        comparison = modelexport.compare_profiles(*map(_whole, profiles))
        grid = render_profile.side_by_side(comparison)
        texts = list(render_profile.file_summaries(map(_whole, profiles)))
        if output_format is ProfileFormat.JSON:
            print_json(comparison)
        elif output_format is ProfileFormat.MARKDOWN:
            print_document("\n\n".join([*texts, grid.markdown()]))
        else:
            for part in (grid, *map(visible_line, texts)):
                out.print(part)
    elif output_format is ProfileFormat.JSON:
        print_json(first)
    else:
        parts = first.parts if isinstance(first, PartsProfile) else {}
        _print_one(_whole(first), parts, output_format, out, every_module=every_module)


def _print_one(
    whole: "Profile",
    parts: "Mapping[PartRole, Profile]",
    output_format: ProfileFormat,
    out: "Console",
    *,
    every_module: bool,
) -> None:
    """Print the profile of a file, or of a folder with the times of its parts."""
    from modelexport.cli import render_profile  # noqa: PLC0415 - rich loads when it is needed

    modules = render_profile.by_part(whole, parts) if parts else render_profile.table(whole)
    if output_format is ProfileFormat.MARKDOWN:
        grids = [modules, render_profile.operators(whole)]
        summaries = list(render_profile.summaries(whole, parts))
        print_document("\n\n".join([*summaries, *(g.markdown() for g in grids)]))
        return
    if output_format is ProfileFormat.TABLE:
        out.print(modules)
        out.print(render_profile.operators(whole))
    else:
        for branch in render_profile.tree(whole, every_module=every_module):
            out.print(branch)
    for line in render_profile.summaries(whole, parts):
        out.print(visible_line(line))
