"""Commands that read or write `-`: standard input or output in place of a file."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from modelexport.cli.visible_output import output_errors
from modelexport.errors import FileProblem, ModelExportError, OnnxFileError, UsageError
from modelexport.hierarchy.choices import TextFormat
from modelexport.support.stdio import STDIO


@contextmanager
def input_file(path: Path, name: str = "stdin.onnx") -> Iterator[Path]:
    """The file; for `-`, a temporary file with the content of standard input.

    Args:
        path: The file, or `-`.
        name: The name of the temporary file.

    Raises:
        OnnxFileError: Standard input is empty.
        UsageError: The path is a folder of parts.
    """
    if path != STDIO:
        if path.is_dir():
            _refuse_parts(path)
        yield path
        return
    with _temporary_folder("standard input cannot be kept") as folder:
        copy = Path(folder, name)
        try:
            with copy.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        except OSError as error:
            raise FileProblem(f"-: standard input cannot be kept ({error.strerror}).") from error
        if not copy.stat().st_size:
            raise OnnxFileError("-: standard input is empty.")
        with _called_standard_input(copy):
            yield copy


@contextmanager
def _called_standard_input(copy: Path) -> Iterator[None]:
    """Make errors name standard input in place of its temporary copy."""
    try:
        yield
    except ModelExportError as error:
        text = str(error)
        if str(copy) not in text:
            raise
        raise type(error)(text.replace(str(copy), "standard input")) from error


def _refuse_parts(folder: Path) -> None:
    """Refuse a folder of parts, where a command takes one file.

    Raises:
        UsageError: It is one.
    """
    from modelexport.hierarchy.part_manifest import (  # noqa: PLC0415 - only for folders
        is_part_folder,
        read_part_manifest,
    )

    if is_part_folder(folder):
        files = ", ".join(part.onnx for part in read_part_manifest(folder).parts)
        raise UsageError(f"{folder}: a folder of parts; choose one of its files: {files}.")


@contextmanager
def output_file(path: Path | None) -> Iterator[Path | None]:
    """The file; for `-`, a temporary file that is sent to standard output at the end.

    Raises:
        UsageError: Standard output is a terminal, or the model has more than one file.
    """
    if path != STDIO:
        yield path
        return
    if sys.stdout.isatty():
        raise UsageError("-o -: standard output is a terminal; send it to a file or a command.")
    with _temporary_folder("the output cannot be kept") as folder:
        copy = Path(folder, "stdout.onnx")
        yield copy
        if len(list(Path(folder).iterdir())) > 1:
            raise UsageError("-o -: the weights are in a separate file; give OUT.onnx a name.")
        with copy.open("rb") as file, output_errors():
            shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()


@contextmanager
def text_output(path: Path | None) -> Iterator[Path | None]:
    """The file of text; for `-`, a temporary file that is printed at the end."""
    if path != STDIO:
        yield path
        return
    with _temporary_folder("the output cannot be kept") as folder:
        copy = Path(folder, "stdout.txt")
        yield copy
        sys.stdout.write(copy.read_text(encoding="utf-8"))


@contextmanager
def _temporary_folder(problem: str) -> Iterator[str]:
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
        except OSError as error:
            raise FileProblem(
                f"-: {problem} in a temporary folder ({error.strerror}); set TMPDIR."
            ) from error
        yield folder


def named_file(path: Path | None) -> Path | None:
    """The file; None for `-`."""
    return None if path == STDIO else path


def check_one_reader(**files: Path | None) -> None:
    """Refuse to read several files from standard input.

    Args:
        files: The files to read, by their names in the command's help.

    Raises:
        UsageError: More than one of them is `-`.
    """
    _check_one("input", {name: path == STDIO for name, path in files.items()})


def check_one_writer(
    output: Path | None = None,
    report: Path | None = None,
    output_format: TextFormat = TextFormat.TEXT,
) -> None:
    """Refuse to write several results to standard output.

    Raises:
        UsageError: More than one of them would be written there.
    """
    writers = {
        "-o -": output == STDIO,
        "--report -": report == STDIO,
        "--output-format json": output_format is TextFormat.JSON,
    }
    check_one_output(writers)


def check_one_output(uses: Mapping[str, bool]) -> None:
    """Refuse to write several results to standard output.

    Args:
        uses: Whether an option writes there, by the option.

    Raises:
        UsageError: More than one of them does.
    """
    _check_one("output", uses)


def check_named(**files: Path | None) -> None:
    """Refuse `-` where a command writes more than one file.

    Args:
        files: The files to write, by their names in the command's help.

    Raises:
        UsageError: One of them is `-`.
    """
    for name, path in files.items():
        if path == STDIO:
            raise UsageError(f"{name}: - cannot be used here; give the file a name.")


def _check_one(stream: str, uses: Mapping[str, bool]) -> None:
    users = [name for name, used in uses.items() if used]
    if len(users) > 1:
        raise UsageError(f"{' and '.join(users)} cannot both use standard {stream}.")
