"""`modelexport compare`."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import modelexport
from modelexport.cli.options import common
from modelexport.cli.options.comparing import NumericOptions
from modelexport.cli.options.groups import expand_groups
from modelexport.cli.options.sources import SourceOptions
from modelexport.cli.part_folders import counterpart, is_folder
from modelexport.cli.print_comparison import VALUE_FORMATS, ComparisonPrinter, comparisons
from modelexport.cli.stdio_files import check_one_reader, input_file
from modelexport.cli.step_progress import step_progress
from modelexport.cli.verbosity import verbosity
from modelexport.errors import UsageError
from modelexport.hierarchy.choices import ComparisonFormat
from modelexport.hierarchy.source_names import is_model_in_torch, is_source, may_be_hub_id
from modelexport.pipeline.parts.module_search import those_that_have

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelexport.cli.print_comparison import Results
    from modelexport.hierarchy.choices import PartRole
    from modelexport.hierarchy.part_files import PartFiles
    from modelexport.rewriter import Comparison


@expand_groups
def compare(
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
    running: NumericOptions,
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
    if not running.numeric and output_format in VALUE_FORMATS:
        raise UsageError(f"--output-format {output_format} lists values: it needs --numeric.")
    in_torch = _is_in_torch(a, b, numeric=running.numeric)
    running.check()
    _check_side(a, running, source, in_torch=in_torch)
    files = {"B.onnx": b, "--record": record} | ({} if in_torch else {"A.onnx": Path(a)})
    check_one_reader(**files)
    keywords: dict[str, Any] = {
        "module": module,
        "depth": depth,
        "memory": running.memory_bytes(),
        "numeric": running.settings() if running.numeric else None,
    }
    if in_torch:
        keywords |= {
            "record": record,
            "reference": running.reference,
            "options": source.trace_options(),
            "input_specs": source.input_specs(),
        }
        results = _compare_with_model(context, a, b, keywords)
    else:
        keywords["run"] = not running.no_run
        results = _compare_files(context, Path(a), b, record, keywords)
    ComparisonPrinter(output_format, every, verbosity(context).quiet).print(results)
    if not all(compared.same for compared in comparisons(results)):
        raise typer.Exit(1)


def _is_in_torch(a: str, b: Path, *, numeric: bool) -> bool:
    """Whether the first side is a model in torch.

    Raises:
        UsageError: The second side is one.
    """
    if is_model_in_torch(b) and not is_folder(b):
        raise UsageError(f"{b}: a model in torch comes first, and the file second.")
    return (is_source(a) and not is_folder(Path(a))) or (numeric and may_be_hub_id(a))


def _check_side(a: str, running: NumericOptions, source: SourceOptions, *, in_torch: bool) -> None:
    """Refuse options that do not fit the first side: a model in torch, or a file.

    Raises:
        UsageError: A model in torch is not to be run, or a file has options of such a model.
    """
    if in_torch and not running.numeric:
        raise UsageError(f"{a}: a model in torch is compared by its numbers: give --numeric.")
    if not in_torch and (running.reference is not None or source.any()):
        raise UsageError(
            f"{a}: --reference and the options of a model in torch are for a first side in torch."
        )


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
