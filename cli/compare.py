"""`modelexport compare`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import modelexport
from modelexport.cli.console import console, print_document, print_json
from modelexport.cli.options import common
from modelexport.cli.options.groups import expand_groups
from modelexport.cli.options.matching import (
    DEFAULT_MEMORY_SIZE,
    CustomOps,
    Memory,
    NoRun,
    memory_bytes,
)
from modelexport.cli.options.sources import SourceOptions
from modelexport.cli.part_folders import counterpart, is_folder, title
from modelexport.cli.stdio_files import check_one_reader, input_file
from modelexport.cli.step_progress import step_progress
from modelexport.cli.verbosity import verbosity
from modelexport.errors import UsageError
from modelexport.hierarchy.choices import ComparisonFormat
from modelexport.hierarchy.source_names import is_model_in_torch, is_source, may_be_hub_id
from modelexport.pipeline.parts.module_search import those_that_have
from modelexport.support.stdio import STDIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelexport.hierarchy.choices import PartRole
    from modelexport.hierarchy.part_files import PartFiles
    from modelexport.rewriter import Comparison, ModelComparison, Numeric

    Results = (
        Comparison | ModelComparison | dict[PartRole, Comparison] | dict[PartRole, ModelComparison]
    )

_OF_VALUES = {ComparisonFormat.TREE, ComparisonFormat.TABLE, ComparisonFormat.CSV}
"""The formats that list values."""


@expand_groups
def compare(  # noqa: PLR0913 - a parameter is an option of the command
    context: typer.Context,
    a: Annotated[
        str,
        typer.Argument(
            metavar="A.onnx|SOURCE",
            help="The reference file, or a folder of parts; - for standard input. With --numeric "
            "also a model in torch, as trace takes it.",
        ),
    ],
    b: Annotated[
        Path,
        typer.Argument(
            metavar="B.onnx",
            help="The file, or the folder of parts, to compare with it; - for standard input.",
        ),
    ],
    *,
    record: common.RecordSource = None,
    numeric: Annotated[
        bool,
        typer.Option(
            "--numeric", help="Run both on the same inputs, and show where values diverge."
        ),
    ] = False,
    probe: Annotated[
        Path | None,
        typer.Option(
            "--probe",
            "--inputs",
            metavar="INPUTS.npz",
            help="Inputs by name for --numeric; by default those of the record, or random ones.",
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Relative distance from which values diverge under --numeric; 0.0001 by default.",
        ),
    ] = None,
    suggest: Annotated[
        bool,
        typer.Option(
            "--suggest",
            help="With --numeric: measure which modules to leave out of quantisation, and in what "
            "order.",
        ),
    ] = False,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="FLOAT.onnx",
            help="The float file for --suggest, where the first side is a model in torch.",
        ),
    ] = None,
    custom_ops: CustomOps = None,
    no_run: NoRun = False,
    memory: Memory = DEFAULT_MEMORY_SIZE,
    source: SourceOptions,
    depth: common.ShownDepth = None,
    module: common.ShownModule = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also show modules and values without a difference.")
    ] = False,
    output_format: Annotated[
        ComparisonFormat,
        typer.Option(help="Format of the result; tree, table and csv list values of --numeric."),
    ] = ComparisonFormat.TEXT,
) -> None:
    """Show by module what differs between two files of a model; exit with 1 if something does.

    Two folders of parts are compared part by part, and so are a model in torch and a folder.

    With --numeric the first side may also be a model in torch: it runs as it is, and what each of
    its modules returns is compared with what the file holds there. A file that is not annotated
    is matched with the record, or with the other file. With --module the answer is about that
    module only. With --depth the deepest modules that are shown stand for all modules inside them.
    """
    if not numeric and output_format in _OF_VALUES:
        raise UsageError(f"--output-format {output_format} lists values: it needs --numeric.")
    in_torch = (is_source(a) and not is_folder(Path(a))) or (numeric and may_be_hub_id(a))
    if is_model_in_torch(b) and not is_folder(b):
        raise UsageError(f"{b}: a model in torch comes first, and the file second.")
    needs_run = probe is not None or tolerance is not None or bool(custom_ops) or suggest
    _check_options(numeric=numeric, no_run=no_run, needs_run=needs_run)
    _check_side(
        a, in_torch=in_torch, numeric=numeric, has_options=reference is not None or source.any()
    )
    first = STDIO if in_torch else Path(a)
    files = {"B.onnx": b, "--record": record} | ({} if in_torch else {"A.onnx": first})
    check_one_reader(**files)
    settings = _numeric_settings(probe, tolerance, custom_ops, suggest=suggest)
    shown: dict[str, Any] = {
        "module": module,
        "depth": depth,
        "memory": memory_bytes(memory),
    }
    if in_torch:
        in_source = {
            **shown,
            "record": record,
            "reference": reference,
            "numeric": settings,
            "options": source.trace_options(),
            "input_specs": source.input_specs(),
        }
        results = _compare_with_model(context, a, b, in_source)
    else:
        of_files = {**shown, "run": not no_run, "numeric": settings if numeric else None}
        results = _compare_files(context, first, b, record, of_files)
    _print_results(results, output_format, every=every, quiet=verbosity(context).quiet)
    if not all(compared.same for compared in _comparisons(results)):
        raise typer.Exit(1)


def _compare_with_model(
    context: typer.Context, source: str, path: Path, keywords: dict[str, Any]
) -> "Results":
    """Compare a model in torch with a file, or with each file in a folder of parts."""
    with step_progress(context):
        if is_folder(path):
            return modelexport.compare_source_parts(source, path, **keywords)
        with input_file(path) as file:
            return modelexport.compare_source(source, file, **keywords)


def _compare_files(
    context: typer.Context, a: Path, b: Path, record: Path | None, keywords: dict[str, Any]
) -> "Results":
    """Compare two files, or the parts of two folders, pair by pair."""
    with step_progress(context):
        if is_folder(a) or is_folder(b):
            return _compare_parts((a, b), record, partial(modelexport.compare, **keywords))
        with input_file(b) as file_b, input_file(a) as file_a:
            return modelexport.compare(file_a, file_b, record=record, **keywords)


def _check_options(*, numeric: bool, no_run: bool, needs_run: bool) -> None:
    """Refuse options that need a run without one, and a run that is forbidden.

    Raises:
        UsageError: The options do not go together.
    """
    if needs_run and not numeric:
        raise UsageError("--probe, --tolerance, --suggest and --custom-ops need --numeric.")
    if numeric and no_run:
        raise UsageError("--numeric cannot be used with --no-run: it runs both files.")


def _numeric_settings(
    probe: Path | None, tolerance: float | None, custom_ops: list[Path] | None, *, suggest: bool
) -> "Numeric":
    defaults = modelexport.Numeric()
    return modelexport.Numeric(
        probe=probe,
        tolerance=defaults.tolerance if tolerance is None else tolerance,
        libraries=tuple(custom_ops or ()),
        suggest=suggest,
    )


def _check_side(a: str, *, in_torch: bool, numeric: bool, has_options: bool) -> None:
    """Refuse options that do not fit the first side: a model in torch, or a file.

    Raises:
        UsageError: A model in torch is not to be run, or a file has options of such a model.
    """
    if in_torch and not numeric:
        raise UsageError(f"{a}: a model in torch is compared by its numbers: give --numeric.")
    if not in_torch and has_options:
        raise UsageError(
            f"{a}: --reference and the options of a model in torch are for a first side in torch."
        )


def _print(
    result: "Comparison | ModelComparison",
    output_format: ComparisonFormat,
    *,
    every: bool,
    quiet: bool,
) -> None:
    from modelexport.cli import render_comparison, render_values  # noqa: PLC0415 - loads rich

    if output_format is ComparisonFormat.JSON:
        print_json(result)
    elif output_format is ComparisonFormat.CSV:
        render_values.write_value_csv({"": result})
    elif output_format in _OF_VALUES and not (result.same and quiet):
        for part in render_values.value_parts(result, output_format, every=every):
            console().print(part)
    elif output_format is ComparisonFormat.MARKDOWN:
        print_document(render_comparison.markdown(result, every=every))
    elif not (result.same and quiet):
        for part in render_comparison.text(result, every=every):
            console().print(part)


def _print_results(
    results: "Results", output_format: ComparisonFormat, *, every: bool, quiet: bool
) -> None:
    """Print the comparison of two sides; of folders, that of each part with its title."""
    if not isinstance(results, dict):
        _print(results, output_format, every=every, quiet=quiet)
    elif output_format is ComparisonFormat.JSON:
        print_json(results)
    elif output_format is ComparisonFormat.CSV:
        from modelexport.cli.render_values import write_value_csv  # noqa: PLC0415 - loads rich

        write_value_csv({str(role): compared for role, compared in results.items()})
    else:
        for role, compared in results.items():
            if not (compared.same and quiet):
                print_document(f"# {title(role)}")
            _print(compared, output_format, every=every, quiet=quiet)


def _comparisons(results: "Results") -> "list[Comparison | ModelComparison]":
    """The comparison of two files; of two folders, those of all parts."""
    return list(results.values()) if isinstance(results, dict) else [results]


def _compare_parts(
    folders: tuple[Path, Path], record: Path | None, compare_files: "Callable[..., Comparison]"
) -> "dict[PartRole, Comparison]":
    """Compare the parts of two folders, pair by pair."""
    from modelexport.pipeline.parts.part_folder import paired_parts  # noqa: PLC0415 - only folders

    def compare_part(pair: "tuple[PartFiles, PartFiles]") -> "Comparison":
        part, other = pair
        own = part.existing_record() or other.existing_record()
        used = counterpart(record, part.role, record=True) or own
        return compare_files(part.onnx, other.onnx, record=used)

    pairs = list(paired_parts(*folders))
    return {part.role: result for (part, _), result in those_that_have(pairs, compare_part)}
