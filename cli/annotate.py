"""`modelexport annotate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

import modelexport
from modelexport.cli.console import console, print_json
from modelexport.cli.options import common
from modelexport.cli.options.groups import expand_groups
from modelexport.cli.options.hierarchy import HierarchyOptions, ReplaceKeys
from modelexport.cli.options.matching import Explain, MatchingOptions
from modelexport.cli.part_folders import counterpart, is_folder, with_each_part
from modelexport.cli.render_decisions import (
    exit_if_undecided,
    print_annotation,
    print_explanation,
    print_report,
    write_reports,
)
from modelexport.cli.stdio_files import (
    check_named,
    check_one_reader,
    check_one_writer,
    input_file,
    named_file,
    output_file,
)
from modelexport.cli.step_progress import step_progress
from modelexport.cli.verbosity import verbosity
from modelexport.errors import UsageError
from modelexport.hierarchy.annotate_options import AnnotateOptions
from modelexport.hierarchy.choices import PartRole, TextFormat
from modelexport.support.stdio import STDIO

if TYPE_CHECKING:
    from rich.console import Console

    from modelexport.hierarchy.part_files import PartFiles
    from modelexport.rewriter import AnnotateReport, Decision


@expand_groups
def annotate(  # noqa: PLR0913 - a parameter is an option of the command
    context: typer.Context,
    model: Annotated[
        Path,
        typer.Argument(
            metavar="IN.onnx",
            help="The file to annotate, or a folder of parts; - for standard input.",
        ),
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
    printer = _DecisionPrinter(context, explain, report, output_format)
    if is_folder(model):
        check_named(**{"--record": record})
        check_one_writer(report=report, output_format=output_format)
        results = _annotate_parts(context, model, output, record, matching, options, force=force)
        printer.print_parts(results, output, force=force)
        annotations = list(results.values())
    else:
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
        printer.print_file(result, str(output or model), output_is_stdout=output == STDIO)
        annotations = [result]
    for annotation in annotations if strict else ():
        exit_if_undecided(annotation)


def _annotate_parts(
    context: typer.Context,
    folder: Path,
    output: Path | None,
    record: Path | None,
    matching: MatchingOptions,
    options: AnnotateOptions,
    *,
    force: bool,
) -> "dict[PartRole, AnnotateReport]":
    """Annotate the file of each part, by its own record where no other source is given."""

    def annotate_part(part: "PartFiles", target: Path | None) -> "AnnotateReport":
        own = part.record if matching.inherit_from is None else None
        return modelexport.annotate(
            part.onnx,
            counterpart(record, part.role, record=True) or own,
            target,
            inherit_from=counterpart(matching.inherit_from, part.role),
            options=options,
        )

    with step_progress(context):
        return with_each_part(folder, output, annotate_part, force=force)


class _DecisionPrinter(NamedTuple):
    """Prints what was decided as the options say.

    Attributes:
        context: Of the command.
        explain: The nodes whose decisions are explained.
        report: Where all decisions go, if anywhere.
        output_format: The format of the result.
    """

    context: typer.Context
    explain: list[str] | None
    report: Path | None
    output_format: TextFormat

    def print_file(self, result: "AnnotateReport", name: str, *, output_is_stdout: bool) -> None:
        """Print what was decided in one file."""
        decisions = self._decisions(result)
        if self.report == STDIO:
            print_report(result)
        if self.output_format is TextFormat.JSON:
            print_json(decisions if self.explain else result)
        elif not verbosity(self.context).quiet:
            out = console(stderr=output_is_stdout or self.report == STDIO)
            self._print(result, decisions, name, out)

    def print_parts(
        self, results: "dict[PartRole, AnnotateReport]", output: Path | None, *, force: bool
    ) -> None:
        """Print what was decided in each part, and write the reports."""
        decisions = {role: self._decisions(result) for role, result in results.items()}
        write_reports(results, self.report, force=force)
        if self.output_format is TextFormat.JSON:
            print_json(decisions if self.explain else results)
        elif not verbosity(self.context).quiet:
            out = console(stderr=self.report == STDIO)
            for role, result in results.items():
                name = f"{output or result.file} ({role.words})"
                self._print(result, decisions[role], name, out)

    def _decisions(self, result: "AnnotateReport") -> "list[Decision]":
        """The decisions that are explained."""
        names = self.explain or ()
        return [d for name in names for d in modelexport.find_decisions(result, name)]

    def _print(
        self, result: "AnnotateReport", decisions: "list[Decision]", name: str, out: "Console"
    ) -> None:
        print_annotation(result, name, out)
        for decision in decisions:
            print_explanation(decision, out)
