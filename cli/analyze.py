"""`modelexport analyze`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cli import render
from cli.output import console, print_json


class AnalysisFormat(StrEnum):
    """How an analysis is printed."""

    TREE = "tree"
    SUMMARY = "summary"
    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def analyze(
    model: Annotated[Path, typer.Argument(metavar="FILE", help="The annotated file.")],
    *,
    output_format: Annotated[
        AnalysisFormat, typer.Option(help="How to print the result.")
    ] = AnalysisFormat.TREE,
    depth: Annotated[
        int | None, typer.Option(min=0, help="Show modules down to this many steps.")
    ] = None,
) -> None:
    """Show the module tree of an ONNX file: nodes, operators and parameters by module."""
    from rewriter import analyze as run  # noqa: PLC0415 - onnx loads when it is needed

    result = run(model)
    if depth is not None:
        result.modules = [row for row in result.modules if row.depth <= depth]
    if output_format is AnalysisFormat.JSON:
        print_json(result)
    elif output_format is AnalysisFormat.CSV:
        render.write_csv(result)
    elif output_format is AnalysisFormat.SUMMARY:
        console().print(render.summary(result))
    elif output_format is AnalysisFormat.TABLE:
        console().print(render.table(result))
    else:
        console().print(render.tree(result))
