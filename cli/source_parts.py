"""--parts of trace and export: a generating model becomes a folder of parts."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

import modelexport
from modelexport.cli.dry_run import print_parts_dry_run
from modelexport.cli.options.tracing import TracingOptions
from modelexport.cli.step_progress import step_progress
from modelexport.hierarchy.choices import TextFormat

if TYPE_CHECKING:
    from modelexport.hierarchy.annotate_options import AnnotateOptions
    from modelexport.pipeline.parts.trace_parts import PartsResult


def trace_source_parts(
    context: typer.Context,
    source: str,
    folder: Path,
    tracing: TracingOptions,
    *,
    annotate_options: "AnnotateOptions | None" = None,
    dry_run: bool,
    force: bool,
    output_format: TextFormat,
) -> "PartsResult | None":
    """Trace the parts of a model; with --dry-run, print what that would do.

    Args:
        context: Of the command.
        source: The model's source.
        folder: The folder of the parts.
        tracing: How the parts are traced.
        annotate_options: How the hierarchy is written into the files; None for plain files.
        dry_run: Whether to print the plan and write nothing.
        force: Whether existing files may be overwritten.
        output_format: Format of the plan.

    Returns:
        What was made; None with `dry_run`.
    """
    if dry_run:
        print_parts_dry_run(
            *(context, source, folder, tracing), force=force, output_format=output_format
        )
        return None
    with step_progress(context):
        return modelexport.trace_parts(
            source,
            folder,
            options=tracing.trace_options(),
            input_specs=tracing.input_specs(),
            annotate_options=annotate_options,
            force=force,
        )
