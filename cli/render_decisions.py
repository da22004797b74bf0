"""Printing what was decided about nodes."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from modelexport.cli.console import print_json, print_json_text
from modelexport.hierarchy.choices import PartRole
from modelexport.support.files import atomic_replacement
from modelexport.support.stdio import STDIO

if TYPE_CHECKING:
    from rich.console import Console

    from modelexport.rewriter import AnnotateReport, Decision


def print_annotation(report: "AnnotateReport", name: str, out: "Console") -> None:
    """Print how many nodes have a tag, by which evidence, and why the others have none.

    Args:
        report: The report of `annotate`.
        name: Name of the result.
        out: Where to print.
    """
    kinds = ", ".join(f"{kind} {count}" for kind, count in report.evidence.items())
    out.print(f"{name}: {report.resolved} of {report.nodes} nodes tagged ({kinds or 'none'})")
    for note in report.notes:
        out.print(f"  note: {note}")
    if report.unresolved:
        out.print(f"  {report.unresolved} unresolved:")
        for reason, count in report.reasons().items():
            out.print(f"    {count}: {reason}")


def write_reports(
    reports: Mapping[PartRole, "AnnotateReport"], path: Path | None, *, force: bool
) -> None:
    """Write the decisions about all parts of a folder, by part.

    Args:
        reports: The decisions.
        path: The file to write; `-` for standard output, None for nowhere.
        force: Whether an existing file may be overwritten.

    Raises:
        FileProblem: The file exists or cannot be written.
    """
    if path == STDIO:
        print_json(reports)
    elif path is not None:
        import msgspec  # noqa: PLC0415 - only for reports of folders

        with atomic_replacement(path, force=force) as file:
            file.write_bytes(msgspec.json.encode(reports))


def print_report(report: "AnnotateReport") -> None:
    """Print the whole report as JSON on standard output."""
    print_json_text(report.to_json().decode())


def exit_if_undecided(report: "AnnotateReport") -> None:
    """Exit with 1 if a node is unresolved or pieces of evidence contradict.

    Raises:
        Exit: A node is unresolved, or evidence contradicts.
    """
    if report.unresolved or report.contradicted:
        raise typer.Exit(1)


def print_explanation(decision: "Decision", out: "Console") -> None:
    """Print what was decided about one node, and which candidates there were."""
    out.print()
    out.print(f"{decision.graph}#{decision.position} {decision.name} ({decision.op_type})")
    out.print(f"  module: {decision.module if decision.module is not None else 'unresolved'}")
    if decision.evidence is not None:
        out.print(f"  evidence: {decision.evidence}")
    if decision.reason is not None:
        out.print(f"  reason: {decision.reason}")
    if decision.covers:
        out.print(f"  covers: {', '.join(decision.covers)}")
    if decision.origins:
        out.print(f"  does the work of: {', '.join(decision.origins)}")
    if decision.source_lines:
        out.print(f"  source: {', '.join(decision.source_lines)}")
    for contradiction in decision.contradictions:
        out.print(f"  contradiction: {contradiction}")
    for candidate in decision.candidates:
        module = candidate.module if candidate.module is not None else "module unknown"
        distance = candidate.distance
        apart = "" if distance is None else f", values {distance:.2g} apart"
        name = f"{candidate.op} ({candidate.op_type}, {module})"
        out.print(f"  candidate {name}: score {candidate.score:g}{apart}")
        out.print(f"    {candidate.verdict}")
