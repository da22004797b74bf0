"""`modelexport trace`."""

from pathlib import Path
from typing import Annotated

import typer

import modelexport
from modelexport.cli.dry_run import print_dry_run
from modelexport.cli.options import common
from modelexport.cli.options.groups import expand_groups
from modelexport.cli.options.tracing import SourceTask, TracingOptions, WritingOptions
from modelexport.cli.part_folders import check_parts
from modelexport.cli.render_export import print_parts, print_trace
from modelexport.cli.source_parts import trace_source_parts
from modelexport.cli.stdio_files import check_named
from modelexport.cli.step_progress import step_progress
from modelexport.errors import UsageError


@expand_groups
def trace(
    context: typer.Context,
    source: common.Source,
    output: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUT.onnx",
            help="The plain ONNX file to write; a folder with --parts, none with --record-only.",
        ),
    ] = None,
    *,
    record: common.RecordTarget = None,
    record_only: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write only a record to this file, for a model whose ONNX file exists already.",
        ),
    ] = None,
    tracing: TracingOptions,
    writing: WritingOptions,
) -> None:
    """Export a model to plain ONNX, and record which module each node came from."""
    if record_only is not None and (output is not None or record is not None):
        raise UsageError("--record-only writes one file: leave out OUT.onnx and --record.")
    check_named(**{"OUT.onnx": output, "--record": record, "--record-only": record_only})
    task = SourceTask(context, source, output, tracing, writing)
    if tracing.parts:
        result = trace_source_parts(task, check_parts(output, record or record_only))
        if result is not None:
            print_parts(context, result, writing.output_format)
        return
    target = record_only or record
    if writing.dry_run:
        print_dry_run(task, record=target)
        return
    with step_progress(context):
        summary = modelexport.trace_source(source, output, record=target, **task.keywords())
    print_trace(context, summary, writing.output_format)
