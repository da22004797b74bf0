"""--dry-run of trace and export: what they would do."""

from pathlib import Path
from typing import TYPE_CHECKING

import modelexport
from modelexport.cli.console import console, print_document, print_json
from modelexport.cli.options.tracing import SourceTask
from modelexport.cli.step_progress import step_progress
from modelexport.hierarchy.choices import TextFormat

if TYPE_CHECKING:
    from modelexport.hierarchy.trace_summary import TracePlan


def print_dry_run(task: SourceTask, *, record: Path | None, report: Path | None = None) -> None:
    """Print what a command would do, and do nothing.

    Args:
        task: What the command is called to do.
        record: The record that would be written; None for the one beside the file.
        report: The report that would be written, if any.
    """
    with step_progress(task.context):
        plan = modelexport.plan_source(
            task.source, task.output, record=record, report=report, **task.keywords()
        )
    if task.writing.output_format is TextFormat.JSON:
        print_json(plan)
    else:
        _print_plan(plan)


def print_parts_dry_run(task: SourceTask, folder: Path) -> None:
    """Print what a command with --parts would do, and do nothing.

    Args:
        task: What the command is called to do.
        folder: The folder that would be made.
    """
    with step_progress(task.context):
        plan = modelexport.plan_parts(task.source, folder, **task.keywords())
    if task.writing.output_format is TextFormat.JSON:
        print_json(plan)
        return
    for role, part in plan.parts.items():
        print_document(f"# {role.words}")
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
