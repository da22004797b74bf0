"""`modelexport analyze`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import modelexport
from modelexport.cli.console import console, print_json
from modelexport.cli.options import common
from modelexport.cli.stdio_files import input_file
from modelexport.cli.step_progress import step_progress
from modelexport.cli.verbosity import verbosity
from modelexport.errors import UsageError

if TYPE_CHECKING:
    from modelexport.rewriter import Analysis


class AnalysisFormat(StrEnum):
    """How an analysis is printed."""

    TREE = "tree"
    SUMMARY = "summary"
    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


class Order(StrEnum):
    """Orders of modules."""

    MODEL = "model"
    NAME = "name"
    NODES = "nodes"
    PARAMS = "params"
    MACS = "macs"
    BYTES = "bytes"


def analyze(
    context: typer.Context,
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="The annotated file, - for standard input; several side by side.",
        ),
    ],
    *,
    output_format: Annotated[
        AnalysisFormat, typer.Option(help="How to print the result.")
    ] = AnalysisFormat.TREE,
    depth: common.ShownDepth = None,
    module: common.ShownModule = None,
    op_type: Annotated[
        list[str] | None,
        typer.Option(metavar="OPERATOR", help="Count these operators only; may be repeated."),
    ] = None,
    sort: Annotated[Order, typer.Option(help="Order of the modules.")] = Order.MODEL,
    dim: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=8",
            help="Extent of a dimension that the file leaves open, for counting; may be repeated.",
        ),
    ] = None,
    unresolved: Annotated[
        bool, typer.Option("--unresolved", help="List the nodes without a module, each with why.")
    ] = False,
) -> None:
    """Show the modules of an ONNX file: nodes, operators, parameters, costs."""
    if unresolved and output_format is AnalysisFormat.CSV:
        raise UsageError("--unresolved does not fit csv, which is a line a module; json has it.")
    from modelexport.rewriter.analysis.costs.shapes import parse_dimension  # noqa: PLC0415

    dims = dict(map(parse_dimension, dim or ()))
    results = []
    with step_progress(context):
        for model in models:
            with input_file(model) as path:
                results.append(
                    modelexport.analyze(
                        path,
                        module=module,
                        depth=depth,
                        op_types=op_type or (),
                        sort=sort.value,
                        dims=dims,
                    )
                )
    if output_format is AnalysisFormat.JSON:
        print_json(results[0] if len(results) == 1 else results)
        return
    _show(results, output_format, unresolved=unresolved)
    if not verbosity(context).quiet:
        for result in results:
            for note in result.notes:
                console(stderr=True).print(f"{result.file}: note: {note}")


def _show(results: "list[Analysis]", output_format: AnalysisFormat, *, unresolved: bool) -> None:
    """Print analyses as text."""
    from modelexport.cli import render_analysis  # noqa: PLC0415 - rich loads when it is needed

    if output_format is AnalysisFormat.CSV:
        render_analysis.write_csv(results)
    elif output_format is AnalysisFormat.MARKDOWN:
        typer.echo(render_analysis.markdown(results, unresolved=unresolved))
    else:
        parts = {
            AnalysisFormat.SUMMARY: render_analysis.summaries,
            AnalysisFormat.TABLE: render_analysis.tables,
            AnalysisFormat.TREE: render_analysis.trees,
        }[output_format](results)
        for part in parts:
            console().print(part)
        for line in render_analysis.unresolved(results) if unresolved else ():
            console().print(line)
