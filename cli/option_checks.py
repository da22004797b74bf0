"""What options that several commands have ask for, taken together."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelexport.cli import options
from modelexport.cli.output import TextFormat
from modelexport.errors import UsageError
from modelexport.hierarchy.annotate_options import FoldRules
from modelexport.hierarchy.choices import Inject

if TYPE_CHECKING:
    from modelexport.hierarchy.export_config import ExportConfig, InputSpec


def tracing(
    config: Path | None, input_shape: Sequence[str] | None, **given: Any
) -> "tuple[ExportConfig, dict[str, InputSpec]]":
    """How a model is to be traced, and on what.

    Args:
        config: The configuration file.
        input_shape: Shapes of inputs, as they were given.
        given: Options that win over the configuration, by the names that it has for them.

    Raises:
        FileProblem: The configuration cannot be read.
        UsageError: A shape is none.
    """
    from modelexport.hierarchy.export_config import (  # noqa: PLC0415 - for commands that trace alone
        parse_input,
        read_export_config,
    )

    wanted = read_export_config(config).overridden(**given)
    return wanted, dict(map(parse_input, input_shape or ()))


def folding(
    inject: Sequence[Inject], functions: list[str] | None, min_nodes: int, most: int | None
) -> FoldRules:
    """What becomes functions, when these are injected.

    Raises:
        UsageError: It was said, and they are not.
    """
    if functions and Inject.FUNCTIONS not in inject:
        raise UsageError("--functions says what --inject functions folds: give that, too.")
    return FoldRules(tuple(functions or options.DEFAULTS.fold_rules.functions), min_nodes, most)


def report_file(report: Path | None) -> Path | None:
    """Where the report goes, unless it goes to standard output or nowhere."""
    return None if report == options.STDOUT else report


def one_writer(
    output: Path | None, report: Path | None = None, output_format: TextFormat = TextFormat.TEXT
) -> None:
    """Refuse to write several things to standard output.

    Raises:
        UsageError: Two want it.
    """
    wanted = {
        "-o -": output == options.STDOUT,
        "--report -": report == options.STDOUT,
        "--output-format json": output_format is TextFormat.JSON,
    }
    _one_wants("output", wanted)


def one_reader(**files: Path | None) -> None:
    """Refuse to read several files from standard input.

    Args:
        files: What is read, by how the command's help calls it.

    Raises:
        UsageError: Two want it.
    """
    _one_wants("input", {name: path == options.STDOUT for name, path in files.items()})


def _one_wants(stream: str, wanted: Mapping[str, bool]) -> None:
    both = [name for name, wants in wanted.items() if wants]
    if len(both) > 1:
        raise UsageError(f"{' and '.join(both)} both want standard {stream}.")


def named(**files: Path | None) -> None:
    """Refuse `-` where a command writes more than one file.

    Args:
        files: What is written, by how the command's help calls it.

    Raises:
        UsageError: One of them is `-`.
    """
    for name, path in files.items():
        if path == options.STDOUT:
            raise UsageError(f"{name}: - stands for no file here; give it a name.")
