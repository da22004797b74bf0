"""--parts of trace and export: a generating model becomes a folder of parts."""

from pathlib import Path
from typing import TYPE_CHECKING

import modelexport
from modelexport.cli.dry_run import print_parts_dry_run
from modelexport.cli.options.tracing import SourceTask
from modelexport.cli.step_progress import step_progress

if TYPE_CHECKING:
    from modelexport.hierarchy.annotate_options import AnnotateOptions
    from modelexport.pipeline.parts.trace_parts import PartsResult


def trace_source_parts(
    task: SourceTask, folder: Path, *, annotate_options: "AnnotateOptions | None" = None
) -> "PartsResult | None":
    """Trace the parts of a model; with --dry-run, print what that would do.

    Args:
        task: What the command is called to do.
        folder: The folder of the parts.
        annotate_options: How the hierarchy is written into the files; None for plain files.

    Returns:
        What was made; None with --dry-run.
    """
    if task.writing.dry_run:
        print_parts_dry_run(task, folder)
        return None
    with step_progress(task.context):
        return modelexport.trace_parts(
            task.source, folder, annotate_options=annotate_options, **task.keywords()
        )
