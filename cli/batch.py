"""`modelexport batch`."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import modelexport
from modelexport.cli.console import console, print_document, print_json
from modelexport.cli.options import common
from modelexport.cli.verbosity import verbosity
from modelexport.hierarchy.choices import TextFormat

if TYPE_CHECKING:
    from modelexport.pipeline.batch import LoadedPlan


def batch(
    context: typer.Context,
    plan: Annotated[Path, typer.Argument(metavar="PLAN.toml", help="The plan.")],
    *,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            "-w",
            min=1,
            help="Number of processes on this machine; by default one for each core.",
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Address of a Dask scheduler to use instead (tcp://host:8786, or its "
            "scheduler.json).",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Skip jobs that are done and whose inputs and files are unchanged."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the plan and print its jobs; run nothing.")
    ] = False,
    force: common.Force = False,
    output_format: common.OutputFormat = TextFormat.TEXT,
) -> None:
    """Trace, annotate and validate many models in parallel, as a plan says.

    Exits with 1 if a job failed. The result of each job is in summary.json and summary.md in the
    folder of results.
    """
    if dry_run:
        _print_jobs(modelexport.load_plan(plan), output_format)
        return
    from modelexport.cli.batch_progress import batch_progress  # noqa: PLC0415 - loads rich
    from modelexport.pipeline.batch import markdown  # noqa: PLC0415 - for this command only

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` has it ignore SIGHUP
            signal.signal(number, signal.default_int_handler)  # stops as cleanly as Ctrl-C does
    with batch_progress(quiet=verbosity(context).quiet) as watcher:
        summary = modelexport.run_plan(
            plan, workers=workers, cluster=cluster, resume=resume, force=force, watcher=watcher
        )
    if output_format is TextFormat.JSON:
        print_json(summary)
    elif not (summary.good and verbosity(context).quiet):
        print_document(markdown(summary))
    if not summary.good:
        raise typer.Exit(1)


def _print_jobs(plan: "LoadedPlan", output_format: TextFormat) -> None:
    if output_format is TextFormat.JSON:
        print_json(plan.jobs)
        return
    for job in plan.jobs:
        files = ", ".join(job.outputs()) or "nothing"
        console().print(f"{job.id}: {', '.join(job.steps)} -> {files}")
