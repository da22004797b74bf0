"""`modelexport export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

import modelexport
from modelexport.cli.dry_run import print_dry_run
from modelexport.cli.options import common
from modelexport.cli.options.groups import expand_groups
from modelexport.cli.options.hierarchy import CleanOnnx, HierarchyOptions
from modelexport.cli.options.tracing import SourceTask, TracingOptions, WritingOptions
from modelexport.cli.part_folders import check_parts
from modelexport.cli.render_decisions import exit_if_undecided, print_report, write_reports
from modelexport.cli.render_export import print_export, print_parts
from modelexport.cli.source_parts import trace_source_parts
from modelexport.cli.stdio_files import check_named, check_one_writer, named_file
from modelexport.cli.step_progress import step_progress
from modelexport.support.files import check_target
from modelexport.support.stdio import STDIO

if TYPE_CHECKING:
    from modelexport.pipeline.exporting import ExportResult
    from modelexport.pipeline.parts.trace_parts import PartsResult


@expand_groups
def export(
    context: typer.Context,
    source: common.Source,
    output: Annotated[
        Path,
        typer.Argument(metavar="OUT.onnx", help="The ONNX file to write; a folder with --parts."),
    ],
    *,
    record: common.RecordTarget = None,
    tracing: TracingOptions,
    clean_onnx: CleanOnnx = False,
    hierarchy: HierarchyOptions,
    report: common.Report = None,
    strict: common.Strict = False,
    writing: WritingOptions,
) -> None:
    """Trace a model and write its ONNX file with the hierarchy in it, in one step."""
    annotate_options = hierarchy.plain_options() if clean_onnx else hierarchy.annotate_options()
    check_named(**{"OUT.onnx": output, "--record": record})
    check_one_writer(report=report, output_format=writing.output_format)
    printer = _ResultPrinter(context, writing, report, strict)
    report_file = named_file(report)
    task = SourceTask(context, source, output, tracing, writing)
    if tracing.parts:
        folder = check_parts(output, record)
        if report_file is not None:
            check_target(report_file, force=writing.force)
        parts = trace_source_parts(task, folder, annotate_options=annotate_options)
        if parts is not None:
            printer.print_folder(parts)
        return
    if writing.dry_run:
        print_dry_run(task, record=record, report=report_file)
        return
    with step_progress(context):
        result = modelexport.export(
            source,
            output,
            trace_options=tracing.trace_options(),
            input_specs=tracing.input_specs(),
            annotate_options=annotate_options,
            record=record,
            report=report_file,
            force=writing.force,
        )
    printer.print_file(result)


class _ResultPrinter(NamedTuple):
    """Prints results as the options say."""

    context: typer.Context
    writing: WritingOptions
    report: Path | None
    strict: bool

    def print_file(self, result: "ExportResult") -> None:
        if self.report == STDIO:
            print_report(result.annotation)
        output_format = self.writing.output_format
        print_export(self.context, result, output_format, stderr=self.report == STDIO)
        if self.strict:
            exit_if_undecided(result.annotation)

    def print_folder(self, result: "PartsResult") -> None:
        write_reports(result.annotations, self.report, force=self.writing.force)
        output_format = self.writing.output_format
        print_parts(self.context, result, output_format, stderr=self.report == STDIO)
        for annotation in result.annotations.values() if self.strict else ():
            exit_if_undecided(annotation)
