"""`modelexport analyze`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import modelexport
from modelexport.cli.console import console, print_document, print_json, print_notes
from modelexport.cli.options import common
from modelexport.cli.part_folders import files_of, is_folder
from modelexport.cli.stdio_files import input_file
from modelexport.cli.step_progress import step_progress
from modelexport.cli.verbosity import verbosity
from modelexport.errors import UsageError
from modelexport.hierarchy.choices import AnalysisFormat, ModuleOrder
from modelexport.pipeline.parts.module_search import those_that_have

if TYPE_CHECKING:
    from modelexport.rewriter import Analysis


def analyze(
    context: typer.Context,
    models: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="The annotated file, or a folder of parts; - for standard input. Several are "
            "shown side by side.",
        ),
    ],
    *,
    output_format: Annotated[
        AnalysisFormat, typer.Option(help="Format of the result.")
    ] = AnalysisFormat.TREE,
    depth: common.ShownDepth = None,
    module: common.ShownModule = None,
    op_type: Annotated[
        list[str] | None,
        typer.Option(metavar="OPERATOR", help="Count these operators only; may be repeated."),
    ] = None,
    every_module: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Show every module. By default equal siblings are one entry, such as "
            "layer.(0-5), in all formats but json and csv.",
        ),
    ] = False,
    sort: Annotated[ModuleOrder, typer.Option(help="Order of the modules.")] = ModuleOrder.MODEL,
    dim: common.OpenDimensions = None,
    unresolved: Annotated[
        bool,
        typer.Option("--unresolved", help="List the nodes without a module, each with the reason."),
    ] = False,
) -> None:
    """Show the modules of an ONNX file: nodes, operators, parameters, costs."""
    if unresolved and output_format is AnalysisFormat.CSV:
        raise UsageError("--unresolved cannot be used with csv, which lists modules; use json.")
    from modelexport.rewriter.analysis.costs.shapes import parse_dimension  # noqa: PLC0415

    dims = dict(map(parse_dimension, dim or ()))

    def analyze_file(model: Path) -> "Analysis":
        with input_file(model) as path:
            return modelexport.analyze(
                path,
                module=module,
                depth=depth,
                op_types=op_type or (),
                sort=sort,
                dims=dims,
            )

    analyses: list[Analysis] = []
    with step_progress(context):
        for model in models:
            analyses += [a for _, a in those_that_have(files_of(model), analyze_file)]
    if output_format is AnalysisFormat.JSON:
        several = len(models) > 1 or is_folder(models[0])
        print_json(analyses if several else analyses[0])
        return
    _print_text(analyses, output_format, every_module=every_module, unresolved=unresolved)
    if not verbosity(context).quiet:
        for analysis in analyses:
            print_notes(analysis.file, analysis.notes)


def _print_text(
    analyses: "list[Analysis]",
    output_format: AnalysisFormat,
    *,
    every_module: bool,
    unresolved: bool,
) -> None:
    from modelexport.cli import render_analysis  # noqa: PLC0415 - rich loads when it is needed

    if output_format is AnalysisFormat.CSV:
        render_analysis.write_csv(analyses)
        return
    if output_format is AnalysisFormat.MARKDOWN:
        document = render_analysis.markdown(
            analyses, every_module=every_module, unresolved=unresolved
        )
        print_document(document)
        return
    if output_format is AnalysisFormat.SUMMARY:
        parts = render_analysis.summaries(analyses)
    elif output_format is AnalysisFormat.TABLE:
        parts = render_analysis.tables(analyses, every_module=every_module)
    else:
        parts = render_analysis.trees(analyses, every_module=every_module)
    for part in parts:
        console().print(part)
    for line in render_analysis.unresolved_nodes(analyses) if unresolved else ():
        console().print(line)
