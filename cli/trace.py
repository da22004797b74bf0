"""`modelexport trace`."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from modelexport.cli import option_checks, options
from modelexport.cli.output import TextFormat, progress
from modelexport.cli.render_export import show_result
from modelexport.errors import UsageError


def trace(  # noqa: PLR0913 - a parameter is an option of the command
    context: typer.Context,
    source: options.Source,
    output: Annotated[
        Path | None,
        typer.Argument(metavar="OUT.onnx", help="Where the file goes; none with --record-only."),
    ] = None,
    *,
    record: options.RecordTarget = None,
    record_only: options.RecordOnly = None,
    config: options.Config = None,
    exporter: options.Export = None,
    opset: options.Opset = None,
    task: options.Task = None,
    attention: options.Attention = None,
    input_text: options.InputText = None,
    input_shape: options.InputShape = None,
    dynamic: options.Dynamic = None,
    no_probe: options.NoProbe = False,
    trust_remote_code: options.TrustRemoteCode = False,
    dry_run: options.DryRun = False,
    force: options.Force = False,
    output_format: options.OutputFormat = TextFormat.TEXT,
) -> None:
    """Export a model to plain ONNX and record which module each node came from."""
    if record_only is not None and (output is not None or record is not None):
        raise UsageError("--record-only writes one file: leave out OUT.onnx and --record.")
    option_checks.named(**{"OUT.onnx": output, "--record": record, "--record-only": record_only})
    wanted, shapes = option_checks.tracing(
        config,
        input_shape,
        exporter=exporter,
        opset=opset,
        task=task,
        attention=attention,
        input_text=input_text,
        dynamic=dynamic,
    )
    from modelexport.pipeline import plan_source, trace_source  # noqa: PLC0415 - loads when it is needed

    run = plan_source if dry_run else partial(trace_source, probe=not no_probe)
    with progress(context):
        result = run(
            source,
            output,
            record=record_only or record,
            config=wanted,
            asked=shapes,
            trust_remote_code=trust_remote_code,
            force=force,
        )
    show_result(context, result, output_format)
