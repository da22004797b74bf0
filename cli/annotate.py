"""`modelexport annotate`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import TextFormat, console, print_json, talk
from hierarchy.errors import UsageError
from hierarchy.injection import Inject
from hierarchy.tags import TagRules, TagStyle, TorchNN

if TYPE_CHECKING:
    from rewriter import AnnotateReport, Decision


class EvidenceKind(StrEnum):
    """The kinds of evidence that can be chosen."""

    IDENTITY = "identity"
    NAMES = "names"
    WEIGHTS = "weights"
    VALUES = "values"
    STRUCTURE = "structure"
    PROPAGATION = "propagation"


def annotate(  # noqa: PLR0913 - a parameter is an option of the command
    context: typer.Context,
    model: Annotated[Path, typer.Argument(metavar="IN.onnx", help="The file to annotate.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.onnx",
            help="Where the result goes; needless to --explain.",
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Trace record; without it, what the file itself carries is used."
        ),
    ] = None,
    inherit_from: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="ANNOTATED.onnx",
            help="An annotated file that this one descends from, in place of a record.",
        ),
    ] = None,
    evidence: Annotated[
        list[EvidenceKind] | None,
        typer.Option(help="Use only this kind of evidence; may be repeated. All by default."),
    ] = None,
    no_run: Annotated[
        bool,
        typer.Option("--no-run", help="Never execute the file: no values, only what it holds."),
    ] = False,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="PLAIN.onnx", help="The file that was traced, to be run beside this one."
        ),
    ] = None,
    probe: Annotated[
        Path | None,
        typer.Option(
            metavar="INPUTS.npz",
            help="Inputs to run both on, by name; needs --reference or --from.",
        ),
    ] = None,
    custom_ops: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="LIBRARY", help="Custom operator library to load into onnxruntime; repeatable."
        ),
    ] = None,
    explain: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NODE", help="Show how this node was decided: its name, or #7 for the 7th."
        ),
    ] = None,
    inject: Annotated[
        list[Inject], typer.Option(help="Where the hierarchy is written; may be repeated.")
    ] = [Inject.METADATA],  # noqa: B006 - typer copies it
    functions: Annotated[
        list[str] | None,
        typer.Option(
            metavar="repeated|nested|all|PATTERN",
            help="What --inject functions folds: outermost repeated calls (the default), these "
            "and the repeated ones inside, all calls, or those that a pattern of module paths "
            "('*.layer.*') or classes ('class:*Layer') matches; may be repeated.",
        ),
    ] = None,
    min_nodes: Annotated[
        int, typer.Option(min=1, help="Calls with fewer nodes than this are not folded.")
    ] = 2,
    max_prototypes_per_class: Annotated[
        int | None, typer.Option(min=1, help="Fold only the most called structures of a class.")
    ] = None,
    tag_style: Annotated[
        TagStyle, typer.Option(help="Steps of a tag by module path or by class.")
    ] = TagStyle.PATH,
    torch_nn: Annotated[
        TorchNN, typer.Option(help="Whether nodes of torch's own modules keep their tag.")
    ] = TorchNN.KEEP,
    depth: Annotated[
        int | None, typer.Option(min=0, help="Cut tags this many steps below the root.")
    ] = None,
    torch_keys: Annotated[
        bool, typer.Option("--torch-keys", help="Write the keys of torch's own exporter too.")
    ] = False,
    replace_keys: Annotated[
        bool,
        typer.Option(
            "--replace-keys", help="Overwrite keys that others wrote; strip cannot undo it."
        ),
    ] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write every decision as JSON.")
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Exit with 1 when a node is unresolved or evidence contradicts."
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
    output_format: Annotated[
        TextFormat, typer.Option(help="How to print the result.")
    ] = TextFormat.TEXT,
) -> None:
    """Write a copy of an ONNX file in which every node knows its module."""
    from rewriter import (  # noqa: PLC0415 - onnx loads when it is needed
        FoldRules,
        Matching,
        explained,
    )
    from rewriter import annotate as run  # noqa: PLC0415

    if output is None and not explain:
        raise UsageError(
            "annotate needs -o OUT.onnx, or --explain NODE to decide and write nothing."
        )
    kinds = frozenset(kind.value for kind in evidence or EvidenceKind)
    result = run(
        model,
        record,
        output,
        inherit_from=inherit_from,
        matching=Matching(kinds, not no_run, probe, reference, tuple(custom_ops or ())),
        inject=inject,
        rules=TagRules(tag_style, torch_nn, depth),
        torch_keys=torch_keys,
        replace_keys=replace_keys,
        fold_rules=FoldRules(tuple(functions or ["repeated"]), min_nodes, max_prototypes_per_class),
        force=force,
        report=report,
    )
    asked = [d for name in explain or () for d in explained(result, name)]
    if output_format is TextFormat.JSON:
        print_json(asked if explain else result)
    elif not talk(context).quiet:
        _show(result, output or model)
        for decision in asked:
            _explain(decision)
    if strict and (result.unresolved or result.contradicted):
        raise typer.Exit(1)


def _explain(decision: "Decision") -> None:
    out = console()
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


def _show(result: "AnnotateReport", output: Path) -> None:
    out = console()
    kinds = ", ".join(f"{kind} {count}" for kind, count in result.evidence.items())
    out.print(f"{output}: {result.resolved} of {result.nodes} nodes tagged ({kinds or 'none'})")
    for note in result.notes:
        out.print(f"  note: {note}")
    if result.unresolved:
        out.print(f"  {result.unresolved} unresolved:")
        for reason, count in result.reasons().items():
            out.print(f"    {count}: {reason}")
