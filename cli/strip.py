"""`modelexport strip`."""

from pathlib import Path
from typing import Annotated

import typer

from cli.output import console, talk


def strip(
    context: typer.Context,
    model: Annotated[Path, typer.Argument(metavar="FILE", help="The annotated file.")],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT.onnx", help="Where the result goes.")
    ],
    functions: Annotated[
        bool,
        typer.Option(
            "--functions", help="Inline the functions that annotate made, and keep all tags."
        ),
    ] = False,
    function: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Inline these functions only; may be repeated."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Give back the very bytes from before annotate; or unfold functions, and keep the rest."""
    if functions or function:
        from rewriter import unfold  # noqa: PLC0415 - onnx loads when it is needed

        report = unfold(model, output, function or (), force=force)
        what = f"{report.calls} calls of {len(report.functions)} functions inlined"
        lines = [f"{output}: {what}", *(f"  note: {note}" for note in report.notes)]
    else:
        from rewriter import strip as run  # noqa: PLC0415 - onnx loads when it is needed

        run(model, output, force=force)
        lines = [f"{output}: written without the hierarchy"]
    if not talk(context).quiet:
        for line in lines:
            console().print(line)
