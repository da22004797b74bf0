"""`modelexport strip`."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

import modelexport
from modelexport.cli.console import console, print_json
from modelexport.cli.options import common
from modelexport.cli.part_folders import is_folder, with_each_part
from modelexport.cli.stdio_files import check_one_writer, input_file, output_file
from modelexport.cli.step_progress import step_progress
from modelexport.cli.verbosity import verbosity
from modelexport.errors import UsageError
from modelexport.hierarchy.choices import Inject, TextFormat
from modelexport.support.stdio import STDIO

if TYPE_CHECKING:
    from rich.console import Console

    from modelexport.rewriter import StripResult


def strip(
    context: typer.Context,
    model: common.AnnotatedFile,
    *,
    output: common.Output,
    keep: Annotated[
        list[Inject] | None,
        typer.Option(help="Leave this kind in the file; may be repeated."),
    ] = None,
    only: Annotated[
        list[Inject] | None,
        typer.Option(help="Remove this kind and nothing else; may be repeated."),
    ] = None,
    functions: Annotated[
        bool,
        typer.Option(
            "--functions",
            help="Inline the functions that annotate made, and keep all tags, as --only functions "
            "does.",
        ),
    ] = False,
    function: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Inline only functions whose name matches this pattern; may be repeated.",
        ),
    ] = None,
    force: common.Force = False,
    output_format: common.OutputFormat = TextFormat.TEXT,
) -> None:
    """Remove what annotate added: all of it, which restores the file to the byte, or some of it."""
    if (functions or function) and (keep or only):
        raise UsageError("--functions and --function cannot be used with --keep or --only.")
    check_one_writer(output, output_format=output_format)
    removed = [Inject.FUNCTIONS] if functions or function else only or ()
    remove = partial(modelexport.strip, keep=keep or (), only=removed, patterns=function or ())
    if is_folder(model):
        with step_progress(context):
            results = with_each_part(
                model, output, lambda part, target: remove(part.onnx, target or output), force=force
            )
        if output_format is TextFormat.JSON:
            print_json(results)
        elif not verbosity(context).quiet:
            for role, part_result in results.items():
                _print_result(part_result, f"{output} ({role.words})", console())
        return
    with output_file(output) as target, step_progress(context), input_file(model) as path:
        assert target is not None
        result = remove(path, target, force=force)
    if output_format is TextFormat.JSON:
        print_json(result)
    elif not verbosity(context).quiet:
        _print_result(result, str(output), console(stderr=output == STDIO))


def _print_result(result: "StripResult", name: str, out: "Console") -> None:
    from modelexport.cli.tables import list_counts  # noqa: PLC0415 - loads rich

    removed = [f"{list_counts(result.keys, None)} on {result.nodes} nodes"] if result.keys else []
    if result.attributes:
        removed.append(f"{result.attributes} tag attributes")
    if result.names:
        removed.append(f"{result.names} nodes have their earlier names")
    if result.functions:
        removed.append(f"{result.calls} calls of {len(result.functions)} functions inlined")
    out.print(f"{name}: {'; '.join(removed) or 'there was nothing to remove'}")
    for note in result.notes:
        out.print(f"  note: {note}")
