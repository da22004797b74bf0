"""`modelexport validate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelexport.cli import option_checks, options
from modelexport.cli.output import TextFormat, console, print_json, progress, talk
from modelexport.cli.stdio_files import readable

if TYPE_CHECKING:
    from modelexport.rewriter import Validation


def validate(
    context: typer.Context,
    model: Annotated[
        Path, typer.Argument(metavar="FILE", help="The annotated file, - for standard input.")
    ],
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
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Nodes without a tag and checks that could not be made count as faults.",
        ),
    ] = False,
    custom_ops: options.CustomOps = None,
    output_format: options.OutputFormat = TextFormat.TEXT,
) -> None:
    """Check an annotated file; exits with 1 when it has faults."""
    option_checks.one_reader(FILE=model, **{"--record": record})
    from modelexport.rewriter import validate as run  # noqa: PLC0415 - onnx loads when it is needed

    with progress(context), readable(model) as path:
        result = run(
            path,
            record=record,
            reference=reference,
            consistency=check_consistency,
            strict=strict,
            libraries=custom_ops or (),
        )
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
    count = len(result.faults)
    verdict = "good" if result.good else f"{count} fault{'s' if count > 1 else ''}"
    checks = ", ".join(result.checks)
    out.print(f"{model}: {verdict} ({checks}; {result.tagged} of {result.nodes} nodes tagged)")
    for note in (*result.remarks, *result.notes) if not quiet else ():
        out.print(f"  note: {note}")
    for fault in result.faults:
        where = " of ".join(filter(None, [fault.node, fault.module]))
        about = f"{where}: " if where else ""
        out.print(f"  {fault.check}: {about}{fault.message}; {fault.advice}")
