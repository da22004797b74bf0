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
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Give back the very bytes from before annotate."""
    from rewriter import strip as run  # noqa: PLC0415 - onnx loads when it is needed

    run(model, output, force=force)
    if not talk(context).quiet:
        console().print(f"{output}: written without the hierarchy")
