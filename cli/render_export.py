"""Printing the results of trace and export."""

from typing import TYPE_CHECKING

import typer

from modelexport.cli.console import console, print_json
from modelexport.cli.render_decisions import print_annotation
from modelexport.cli.verbosity import verbosity
from modelexport.hierarchy.choices import TextFormat

if TYPE_CHECKING:
    from rich.console import Console

    from modelexport.hierarchy.trace_summary import TraceSummary
    from modelexport.pipeline import ExportResult, PartsResult


def print_trace(context: typer.Context, summary: "TraceSummary", output_format: TextFormat) -> None:
    """Print what tracing made."""
    if output_format is TextFormat.JSON:
        print_json(summary)
    elif not verbosity(context).quiet:
        _trace_lines(summary, console())


def print_export(
    context: typer.Context, result: "ExportResult", output_format: TextFormat, *, stderr: bool
) -> None:
    """Print what exporting made.

    Args:
        context: Of the command.
        result: The result.
        output_format: Its format.
        stderr: Print text on standard error, because standard output has the report.
    """
    if output_format is TextFormat.JSON:
        print_json(result)
    elif not verbosity(context).quiet:
        out = console(stderr=stderr)
        _trace_lines(result.trace, out)
        places = ", ".join(result.hierarchy) or "not in the plain file, but in the record beside it"
        print_annotation(result.annotation, f"hierarchy ({places})", out)


def print_parts(
    context: typer.Context,
    result: "PartsResult",
    output_format: TextFormat,
    *,
    stderr: bool = False,
) -> None:
    """Print the parts that were traced.

    Args:
        context: Of the command.
        result: The result.
        output_format: Its format.
        stderr: Print text on standard error, because standard output has the report.
    """
    if output_format is TextFormat.JSON:
        print_json(result)
    elif not verbosity(context).quiet:
        out = console(stderr=stderr)
        for role, summary in result.traces.items():
            _trace_lines(summary, out)
            if (report := result.annotations.get(role)) is not None:
                print_annotation(report, f"hierarchy of the {role.words}", out)
        count, wires = len(result.manifest.parts), len(result.manifest.connections)
        out.print(f"{result.folder}: {count} parts, {wires} connections between them")


def _trace_lines(summary: "TraceSummary", out: "Console") -> None:
    if summary.onnx is not None:
        out.print(
            f"{summary.onnx}: {summary.nodes} nodes of {summary.modules} modules "
            f"({summary.exporter} exporter, opset {summary.opset})"
        )
    out.print(f"{summary.record}: {summary.scoped} of {summary.nodes} nodes have their module")
    for note in summary.notes:
        out.print(f"  note: {note}")
    if summary.unprobed is not None:
        out.print(f"  note: no fingerprints ({summary.unprobed})")
