"""`modelexport strip`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelexport.cli import option_checks, options
from modelexport.cli.output import TextFormat, console, print_json, progress, talk
from modelexport.cli.stdio_files import readable, writable
from modelexport.errors import UsageError
from modelexport.hierarchy.choices import Inject

if TYPE_CHECKING:
    from modelexport.rewriter import StripResult


def strip(
    context: typer.Context,
    model: options.AnnotatedFile,
    *,
    output: options.Output,
    keep: Annotated[
        list[Inject] | None,
        typer.Option(help="Leave this kind in the file; may be repeated."),
    ] = None,
    only: Annotated[
        list[Inject] | None,
        typer.Option(help="Take out this kind and nothing else; may be repeated."),
    ] = None,
    functions: Annotated[
        bool,
        typer.Option(
            "--functions",
            help="Inline the functions that annotate made, and keep all tags: --only functions.",
        ),
    ] = False,
    function: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Inline these functions only; may be repeated."),
    ] = None,
    force: options.Force = False,
    output_format: options.OutputFormat = TextFormat.TEXT,
) -> None:
    """Give back the very bytes from before annotate; or take out some of it, and keep the rest."""
    if (functions or function) and (keep or only):
        raise UsageError("--functions and --function keep all else: they fit no --keep or --only.")
    option_checks.one_writer(output, output_format=output_format)
    from modelexport.rewriter import strip as run  # noqa: PLC0415 - onnx loads when it is needed

    gone = [Inject.FUNCTIONS] if functions or function else only or ()
    with writable(output) as target, progress(context), readable(model) as path:
        assert target is not None
        result = run(path, target, keep=keep or (), only=gone, patterns=function or (), force=force)
    if output_format is TextFormat.JSON:
        print_json(result)
    elif not talk(context).quiet:
        _show(result, output)


def _show(result: "StripResult", output: Path) -> None:
    from modelexport.cli.tables import counted  # noqa: PLC0415 - rich loads when it is needed

    gone = [f"{counted(result.keys, None)} on {result.nodes} nodes"] if result.keys else []
    if result.attributes:
        gone.append(f"{result.attributes} tag attributes")
    if result.names:
        gone.append(f"{result.names} nodes have their earlier names")
    if result.functions:
        gone.append(f"{result.calls} calls of {len(result.functions)} functions inlined")
    out = console(stderr=output == options.STDOUT)
    out.print(f"{output}: {'; '.join(gone) or 'there was nothing to take out'}")
    for note in result.notes:
        out.print(f"  note: {note}")
