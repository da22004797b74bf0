"""How decisions about nodes look, and what they come to."""

import sys
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from modelexport.rewriter import AnnotateReport, Decision


def show_decided(result: "AnnotateReport", name: str, out: "Console") -> None:
    """How many nodes have their module, by what, and why the others have none."""
    kinds = ", ".join(f"{kind} {count}" for kind, count in result.evidence.items())
    out.print(f"{name}: {result.resolved} of {result.nodes} nodes tagged ({kinds or 'none'})")
    for note in result.notes:
        out.print(f"  note: {note}")
    if result.unresolved:
        out.print(f"  {result.unresolved} unresolved:")
        for reason, count in result.reasons().items():
            out.print(f"    {count}: {reason}")


def print_report(result: "AnnotateReport") -> None:
    """The whole report as JSON, on standard output."""
    sys.stdout.write(result.to_json().decode())


def exit_if_open(result: "AnnotateReport") -> None:
    """Give up with exit code 1 when a node is unresolved or evidence contradicts.

    Raises:
        Exit: One is.
    """
    if result.unresolved or result.contradicted:
        raise typer.Exit(1)


def explain_decision(decision: "Decision", out: "Console") -> None:
    """How one node was decided, and what else was weighed."""
    out.print(f"\n{decision.graph}#{decision.position} {decision.name} ({decision.op_type})")
    out.print(f"  module: {decision.module if decision.module is not None else 'unresolved'}")
    if decision.evidence is not None:
        out.print(f"  evidence: {decision.evidence}")
    if decision.reason is not None:
        out.print(f"  reason: {decision.reason}")
    if decision.covers:
        out.print(f"  covers: {', '.join(decision.covers)}")
    if decision.origins:
        out.print(f"  does the work of: {', '.join(decision.origins)}")
    for contradiction in decision.contradictions:
        out.print(f"  contradiction: {contradiction}")
    for each in decision.candidates:
        where = each.module if each.module is not None else "module unknown"
        near = "" if each.distance is None else f", values {each.distance:.2g} apart"
        out.print(f"  candidate {each.op} ({each.op_type}, {where}): score {each.score:g}{near}")
        out.print(f"    {each.verdict}")
