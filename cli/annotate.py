"""`modelexport annotate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import TextFormat, console, print_json, talk
from hierarchy.injection import Inject
from hierarchy.tags import TagRules, TagStyle, TorchNN

if TYPE_CHECKING:
    from rewriter import AnnotateReport


def annotate(  # noqa: PLR0913 - a parameter is an option of the command
    context: typer.Context,
    model: Annotated[Path, typer.Argument(metavar="IN.onnx", help="The file to annotate.")],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT.onnx", help="Where the result goes.")
    ],
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Trace record; without it, what the file itself carries is used."
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
        bool, typer.Option("--strict", help="Exit with 1 when nodes are left unresolved.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
    output_format: Annotated[
        TextFormat, typer.Option(help="How to print the result.")
    ] = TextFormat.TEXT,
) -> None:
    """Write a copy of an ONNX file in which every node knows its module."""
    from rewriter import FoldRules  # noqa: PLC0415 - onnx loads when it is needed
    from rewriter import annotate as run  # noqa: PLC0415

    result = run(
        model,
        record,
        output,
        inject=inject,
        rules=TagRules(tag_style, torch_nn, depth),
        torch_keys=torch_keys,
        replace_keys=replace_keys,
        fold_rules=FoldRules(tuple(functions or ["repeated"]), min_nodes, max_prototypes_per_class),
        force=force,
        report=report,
    )
    if output_format is TextFormat.JSON:
        print_json(result)
    elif not talk(context).quiet:
        _show(result, output)
    if strict and result.unresolved:
        raise typer.Exit(1)


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
