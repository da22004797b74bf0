"""`modelexport annotate`."""

from pathlib import Path
from typing import Annotated

import typer

import modelexport
from modelexport.cli.console import console, print_json
from modelexport.cli.options import common
from modelexport.cli.options.groups import expand_groups
from modelexport.cli.options.hierarchy import HierarchyOptions, ReplaceKeys
from modelexport.cli.options.matching import Explain, MatchingOptions
from modelexport.cli.render_decisions import (
    exit_if_undecided,
    print_annotation,
    print_explanation,
    print_report,
)
from modelexport.cli.stdio_files import (
    check_one_reader,
    check_one_writer,
    input_file,
    named_file,
    output_file,
)
from modelexport.cli.step_progress import step_progress
from modelexport.cli.verbosity import verbosity
from modelexport.errors import UsageError
from modelexport.hierarchy.choices import TextFormat
from modelexport.support.stdio import STDIO


@expand_groups
def annotate(  # noqa: PLR0913 - a parameter is an option of the command
    context: typer.Context,
    model: Annotated[
        Path,
        typer.Argument(metavar="IN.onnx", help="The file to annotate; - for standard input."),
    ],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.onnx",
            help="The file to write; - for standard output. Not needed with --explain.",
        ),
    ] = None,
    record: common.RecordSource = None,
    matching: MatchingOptions,
    explain: Explain = None,
    hierarchy: HierarchyOptions,
    replace_keys: ReplaceKeys = False,
    report: common.Report = None,
    strict: common.Strict = False,
    force: common.Force = False,
    output_format: common.OutputFormat = TextFormat.TEXT,
) -> None:
    """Write a copy of an ONNX file in which every node has the tag of its module."""
    if output is None and not explain:
        raise UsageError(
            "annotate needs -o OUT.onnx, or --explain NODE to explain decisions and write nothing."
        )
    options = hierarchy.annotate_options().overridden(
        matching=matching.match_options(), replace_keys=replace_keys
    )
    check_one_reader(**{"IN.onnx": model, "--record": record})
    check_one_writer(output, report, output_format)
    with output_file(output) as target, step_progress(context), input_file(model) as path:
        result = modelexport.annotate(
            path,
            record,
            target,
            inherit_from=matching.inherit_from,
            options=options,
            force=force,
            report=named_file(report),
        )
    decisions = [d for name in explain or () for d in modelexport.find_decisions(result, name)]
    if report == STDIO:
        print_report(result)
    if output_format is TextFormat.JSON:
        print_json(decisions if explain else result)
    elif not verbosity(context).quiet:
        out = console(stderr=STDIO in {output, report})
        print_annotation(result, str(output or model), out)
        for decision in decisions:
            print_explanation(decision, out)
    if strict:
        exit_if_undecided(result)
