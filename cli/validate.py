"""`modelexport validate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import TextFormat, console, print_json, talk

if TYPE_CHECKING:
    from rewriter import Validation


def validate(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(metavar="FILE", help="The annotated file.")],
    *,
    record: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Trace record: its inputs are run, its modules known."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(metavar="PLAIN.onnx", help="Outputs must be this file's, bit for bit."),
    ] = None,
    check_consistency: Annotated[
        bool, typer.Option("--check-consistency", help="Look for tags that contradict the graph.")
    ] = False,
    output_format: Annotated[
        TextFormat, typer.Option(help="How to print the result.")
    ] = TextFormat.TEXT,
) -> None:
    """Check an annotated file; exits with 1 when it has faults."""
    from rewriter import validate as run  # noqa: PLC0415 - onnx loads when it is needed

    result = run(model, record=record, reference=reference, consistency=check_consistency)
    if output_format is TextFormat.JSON:
        print_json(result)
    else:
        _show(result, model, quiet=talk(context).quiet)
    if not result.good:
        raise typer.Exit(1)


def _show(result: "Validation", model: Path, *, quiet: bool) -> None:
    out = console()
    if result.good and quiet:
        return
    verdict = "good" if result.good else f"{len(result.faults)} faults"
    checks = ", ".join(result.checks)
    out.print(f"{model}: {verdict} ({checks}; {result.tagged} of {result.nodes} nodes tagged)")
    for note in result.notes if not quiet else ():
        out.print(f"  note: {note}")
    for fault in result.faults:
        about = f"{fault.node}: " if fault.node else ""
        out.print(f"  {fault.check}: {about}{fault.message}; {fault.advice}")
