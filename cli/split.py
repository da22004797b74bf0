"""`modelexport split`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import modelexport
from modelexport.cli.console import console, print_document, print_json
from modelexport.cli.options import common
from modelexport.cli.options.dividing import DivisionOptions
from modelexport.cli.options.groups import expand_groups
from modelexport.cli.options.placement import PlacementOptions
from modelexport.cli.part_folders import is_folder, parts_that_have
from modelexport.cli.stdio_files import check_named, check_one_reader, input_file
from modelexport.cli.step_progress import step_progress
from modelexport.cli.verbosity import verbosity
from modelexport.errors import UsageError
from modelexport.hierarchy.choices import PartRole, TextFormat
from modelexport.support.files import check_target
from modelexport.support.folders import atomic_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelexport.hierarchy.part_files import PartFiles
    from modelexport.rewriter.extraction.results import Split


@expand_groups
def split(
    context: typer.Context,
    model: common.AnyFile,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="The folder of the parts; it is created."
        ),
    ],
    dividing: DivisionOptions,
    check: common.CheckParts = False,
    assignments: Annotated[
        bool,
        typer.Option(
            "--assignments",
            help="Also write assigned.onnx: the whole file, with the part of each node in the form "
            "that Olive's SplitModel reads.",
        ),
    ] = False,
    placement: PlacementOptions,
    force: common.Force = False,
    output_format: common.OutputFormat = TextFormat.TEXT,
) -> None:
    """Write parts of a file that run one after the other, and a manifest."""
    if placement.no_run and check:
        raise UsageError("--no-run cannot be used with --check: it runs the files.")
    dividing.check(model, no_run=placement.no_run)
    check_one_reader(**{"FILE": model, "--record": placement.record})
    check_named(**{"-o": output})
    split_file = partial(
        modelexport.split,
        parts=dividing.division(),
        balance=dividing.balance,
        profile=dividing.profile,
        check=check,
        assignments=assignments,
        force=force,
    )
    quiet = verbosity(context).quiet
    if is_folder(model):
        with step_progress(context):
            results = _split_parts(model, output, placement, split_file, force=force)
        for role, part_result in results.items() if output_format is TextFormat.TEXT else ():
            _print_result(part_result, quiet=quiet, heading=f"# {role.words}")
        if output_format is TextFormat.JSON:
            print_json(results)
        _exit_if_different(list(results.values()))
        return
    with step_progress(context), input_file(model) as path:
        result = split_file(path, output, **placement.keywords())
    if output_format is TextFormat.JSON:
        print_json(result)
    else:
        _print_result(result, quiet=quiet)
    _exit_if_different([result])


def _split_parts(
    folder: Path,
    output: Path,
    placement: PlacementOptions,
    split_file: "Callable[..., Split]",
    *,
    force: bool,
) -> "dict[PartRole, Split]":
    """Split each file of a folder of parts into a folder of its own, named by its role."""
    with atomic_folder(output, force=force) as stage:

        def split_part(part: "PartFiles") -> "Split":
            target = output / part.role
            if target.exists():
                check_target(target / "manifest.json", force=force)
            return split_file(part.onnx, stage / part.role, **placement.keywords(part))

        return parts_that_have(folder, split_part)


def _exit_if_different(results: "list[Split]") -> None:
    if any(result.equal is False for result in results):
        raise typer.Exit(1)


def _print_result(result: "Split", *, quiet: bool, heading: str | None = None) -> None:
    if quiet:
        return
    if heading is not None:
        print_document(heading)
    from modelexport.cli.tables import Grid  # noqa: PLC0415 - loads rich

    out = console()
    balance = [] if result.balance is None else [f">{result.balance}"]
    rows = [
        [
            part.file,
            str(part.nodes),
            *([] if part.share is None else [f"{part.share:.1%}"]),
            ", ".join(part.inputs),
            ", ".join(part.outputs),
        ]
        for part in result.parts
    ]
    out.print(Grid(["part", ">nodes", *balance, "inputs", "outputs"], rows))
    if result.assignments is not None:
        out.print("  assigned.onnx: the whole, with the part of each node")
    if result.equal is not None:
        verdict = "equal to" if result.equal else "NOT equal to"
        out.print(f"  {verdict} the whole file, bit for bit")
    for note in result.notes:
        out.print(f"  note: {note}")
