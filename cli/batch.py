"""`modelexport batch`."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelexport.cli import options
from modelexport.cli.output import TextFormat, console, print_json, talk

if TYPE_CHECKING:
    from modelexport.pipeline.batch import Batch


def batch(
    context: typer.Context,
    plan: Annotated[Path, typer.Argument(metavar="PLAN.toml", help="What is to be done.")],
    *,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            "-w",
            min=1,
            help="Processes on this machine; one for each core by default.",
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="A Dask scheduler to use instead (tcp://host:8786, or its scheduler.json).",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Skip jobs that are done and whose inputs and files are unchanged."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the plan and show its jobs; do nothing.")
    ] = False,
    force: options.Force = False,
    output_format: options.OutputFormat = TextFormat.TEXT,
) -> None:
    """Do many steps with many models in parallel, as a plan says.

    Exits with 1 when a job failed. What came of each job is in summary.json and summary.md
    beside the results.
    """
    from modelexport.cli.batch_progress import progress  # noqa: PLC0415 - for this command only
    from modelexport.pipeline.batch import load_plan, markdown, run_plan  # noqa: PLC0415 - for this one only

    if dry_run:
        _show_jobs(load_plan(plan), output_format)
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops as cleanly as Ctrl-C does
    with progress(quiet=talk(context).quiet) as watcher:
        summary = run_plan(
            plan, workers=workers, cluster=cluster, resume=resume, force=force, watcher=watcher
        )
    if output_format is TextFormat.JSON:
        print_json(summary)
    elif not (summary.good and talk(context).quiet):
        console().print(markdown(summary))
    if not summary.good:
        raise typer.Exit(1)


def _show_jobs(loaded: "Batch", output_format: TextFormat) -> None:
    if output_format is TextFormat.JSON:
        print_json(loaded.jobs)
        return
    for job in loaded.jobs:
        files = ", ".join(job.outputs()) or "nothing"
        console().print(f"{job.id}: {', '.join(job.steps)} -> {files}")
