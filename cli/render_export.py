"""How the results of trace and export look."""

from typing import TYPE_CHECKING

import typer

from modelexport.cli.output import TextFormat, console, print_json, talk
from modelexport.cli.render_decisions import show_decided

if TYPE_CHECKING:
    from rich.console import Console

    from modelexport.hierarchy.trace_summary import TracePlan, TraceSummary
    from modelexport.pipeline import ExportResult


def show_result(
    context: typer.Context,
    made: "TracePlan | TraceSummary | ExportResult",
    output_format: TextFormat,
    *,
    stderr: bool = False,
) -> None:
    """What was made, or would be, as data or as text.

    Args:
        context: Of the command.
        made: The result.
        output_format: How to print it.
        stderr: Whether standard output is taken.
    """
    from modelexport.hierarchy.trace_summary import TracePlan, TraceSummary  # noqa: PLC0415 - loads numpy

    if output_format is TextFormat.JSON:
        print_json(made)
    elif isinstance(made, TracePlan):
        show_plan(made, console())
    elif talk(context).quiet:
        return
    elif isinstance(made, TraceSummary):
        show_trace(made, console(stderr=stderr))
    else:
        show_export(made, console(stderr=stderr))


def show_trace(made: "TraceSummary", out: "Console") -> None:
    """What tracing made."""
    if made.onnx is not None:
        out.print(
            f"{made.onnx}: {made.nodes} nodes of {made.modules} modules "
            f"({made.exporter} exporter, opset {made.opset})"
        )
    out.print(f"{made.record}: {made.scoped} of {made.nodes} nodes have their module")
    for note in made.notes:
        out.print(f"  note: {note}")
    if made.unprobed is not None:
        out.print(f"  note: no fingerprints ({made.unprobed})")


def show_export(made: "ExportResult", out: "Console") -> None:
    """What exporting made."""
    show_trace(made.trace, out)
    where = ", ".join(made.hierarchy) or "the file is plain, the record beside it has them"
    show_decided(made.annotation, f"hierarchy ({where})", out)


def show_plan(plan: "TracePlan", out: "Console") -> None:
    """What would be exported."""
    out.print(
        f"{plan.source}: {plan.class_name}, {plan.modules} modules, {plan.parameters} parameters"
    )
    for value in plan.inputs:
        shape = " x ".join(map(str, value.shape)) or "one number"
        out.print(f"  input {value.name}: {value.dtype}, {shape}")
    for name in plan.output_names:
        out.print(f"  output {name}")
    asked = ", else ".join(f"{each.name} (opset {each.opset})" for each in plan.exporters)
    out.print(f"  exporter: {asked or 'none, the model would run as it is'}")
    for path in plan.files:
        out.print(f"  would write {path}")
