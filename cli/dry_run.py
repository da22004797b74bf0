"""--dry-run of trace and export: what they would do."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

import modelexport
from modelexport.cli.console import console, print_document, print_json
from modelexport.cli.options.tracing import TracingOptions
from modelexport.cli.part_folders import title
from modelexport.cli.step_progress import step_progress
from modelexport.hierarchy.choices import TextFormat

if TYPE_CHECKING:
    from modelexport.hierarchy.trace_summary import TracePlan


def print_dry_run(
    context: typer.Context,
    source: str,
    output: Path | None,
    tracing: TracingOptions,
    *,
    record: Path | None,
    report: Path | None = None,
    force: bool,
    output_format: TextFormat,
) -> None:
    """Print what a command would do, and do nothing.

    Args:
        context: Of the command.
        source: The model's source.
        output: The ONNX file that would be written; None for a record only.
        tracing: How the model would be traced.
        record: The record that would be written; None for the one beside the file.
        report: The report that would be written, if any.
        force: Whether existing files may be overwritten.
        output_format: Format of the plan.
    """
    with step_progress(context):
        plan = modelexport.plan_source(
            source,
            output,
            record=record,
            report=report,
            options=tracing.trace_options(),
            input_specs=tracing.input_specs(),
            force=force,
        )
    if output_format is TextFormat.JSON:
        print_json(plan)
    else:
        _print_plan(plan)


def print_parts_dry_run(
    context: typer.Context,
    source: str,
    folder: Path,
    tracing: TracingOptions,
    *,
    force: bool,
    output_format: TextFormat,
) -> None:
    """Print what a command with --parts would do, and do nothing.

    Args:
        context: Of the command.
        source: The model's source.
        folder: The folder that would be made.
        tracing: How the parts would be traced.
        force: Whether existing files may be overwritten.
        output_format: Format of the plan.
    """
    with step_progress(context):
        plan = modelexport.plan_parts(
            source,
            folder,
            options=tracing.trace_options(),
            input_specs=tracing.input_specs(),
            force=force,
        )
    if output_format is TextFormat.JSON:
        print_json(plan)
        return
    for role, part in plan.parts.items():
        print_document(f"# {title(role)}")
        _print_plan(part)
    console().print(f"  would write {plan.files[-1]}")


def _print_plan(plan: "TracePlan") -> None:
    out = console()
    out.print(
        f"{plan.source}: {plan.class_name}, {plan.modules} modules, {plan.parameters} parameters"
    )
    for value in plan.inputs:
        shape = " x ".join(map(str, value.shape)) or "one number"
        out.print(f"  input {value.name}: {value.dtype}, {shape}")
    for name in plan.output_names:
        out.print(f"  output {name}")
    exporters = ", else ".join(
        f"{e.name} (opset {e.opset}{f' or {e.else_opset}' if e.else_opset else ''})"
        for e in plan.exporters
    )
    out.print(f"  exporter: {exporters or 'none: the model runs as it is'}")
    for path in plan.files:
        out.print(f"  would write {path}")
