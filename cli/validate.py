"""`modelexport validate`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import modelexport
from modelexport.cli.console import console, print_json
from modelexport.cli.options import common
from modelexport.cli.options.matching import CustomOps
from modelexport.cli.part_folders import counterpart, is_folder, with_each_part
from modelexport.cli.stdio_files import check_one_reader, input_file
from modelexport.cli.step_progress import step_progress
from modelexport.cli.verbosity import verbosity
from modelexport.hierarchy.choices import PartRole, TextFormat

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelexport.hierarchy.part_files import PartFiles
    from modelexport.rewriter import Validation


def validate(
    context: typer.Context,
    model: common.AnnotatedFile,
    *,
    record: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The trace record: the file is run on its inputs, and tags must name its modules.",
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="PLAIN.onnx", help="A file whose outputs must be the same, bit for bit."
        ),
    ] = None,
    check_consistency: Annotated[
        bool, typer.Option("--check-consistency", help="Look for tags that contradict the graph.")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Nodes without a tag, and checks that could not be made, count as faults.",
        ),
    ] = False,
    custom_ops: CustomOps = None,
    output_format: common.OutputFormat = TextFormat.TEXT,
) -> None:
    """Check an annotated file; exit with 1 if it has faults."""
    check_one_reader(FILE=model, **{"--record": record})
    check = partial(
        modelexport.validate,
        consistency=check_consistency,
        strict=strict,
        libraries=custom_ops or (),
    )
    quiet = verbosity(context).quiet
    if is_folder(model):
        results = _validate_parts(context, model, record, reference, check)
        if output_format is TextFormat.JSON:
            print_json(results)
        for role, part_result in results.items() if output_format is TextFormat.TEXT else ():
            _print_result(part_result, f"{model} ({role.words})", quiet=quiet)
        good = all(part_result.good for part_result in results.values())
    else:
        with step_progress(context), input_file(model) as path:
            result = check(path, record=record, reference=reference)
        if output_format is TextFormat.JSON:
            print_json(result)
        else:
            _print_result(result, str(model), quiet=quiet)
        good = result.good
    if not good:
        raise typer.Exit(1)


def _validate_parts(
    context: typer.Context,
    folder: Path,
    record: Path | None,
    reference: Path | None,
    check: "Callable[..., Validation]",
) -> "dict[PartRole, Validation]":
    """Check the file of each part, by its own record where no other is given."""

    def check_part(part: "PartFiles", _: Path | None) -> "Validation":
        return check(
            part.onnx,
            record=counterpart(record, part.role, record=True) or part.existing_record(),
            reference=counterpart(reference, part.role),
        )

    with step_progress(context):
        return with_each_part(folder, None, check_part)


def _print_result(result: "Validation", name: str, *, quiet: bool) -> None:
    if result.good and quiet:
        return
    out = console()
    count = len(result.faults)
    verdict = "good" if result.good else f"{count} fault{'s' if count > 1 else ''}"
    checks = ", ".join(result.checks)
    out.print(f"{name}: {verdict} ({checks}; {result.tagged} of {result.nodes} nodes tagged)")
    for note in (*result.remarks, *result.notes) if not quiet else ():
        out.print(f"  note: {note}")
    for fault in result.faults:
        place = " of ".join(filter(None, [fault.node, fault.module]))
        prefix = f"{place}: " if place else ""
        out.print(f"  {fault.check}: {prefix}{fault.message}; {fault.advice}")
