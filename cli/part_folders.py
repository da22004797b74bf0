"""Commands on a folder of parts: each of its files is treated like a single file."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from modelexport.errors import UsageError
from modelexport.hierarchy.choices import PartRole
from modelexport.pipeline.parts.module_search import those_that_have
from modelexport.support.stdio import STDIO

if TYPE_CHECKING:
    from modelexport.hierarchy.part_files import PartFiles

Result = TypeVar("Result")


def check_parts(output: Path | None, other: Path | None) -> Path:
    """Refuse options that cannot be used with --parts.

    Args:
        output: The folder of the parts.
        other: A record that is asked for.

    Returns:
        The folder.

    Raises:
        UsageError: There is no folder, or something that is for a single file.
    """
    if output is None:
        raise UsageError("--parts needs the folder to write to, in place of OUT.onnx.")
    if other is not None:
        raise UsageError(
            "--parts writes a record for each part: leave out --record and --record-only."
        )
    return output


def is_folder(path: Path) -> bool:
    """Whether a command's argument is a folder of parts."""
    if path == STDIO or not path.is_dir():
        return False
    from modelexport.hierarchy.part_manifest import is_part_folder  # noqa: PLC0415 - only folders

    return is_part_folder(path)


def files_of(path: Path) -> list[Path]:
    """The files of a folder of parts; a file itself."""
    if not is_folder(path):
        return [path]
    return [part.onnx for part in parts_by_role(path).values()]


def parts_by_role(folder: Path) -> "dict[PartRole, PartFiles]":
    """The parts of a folder.

    Raises:
        FileProblem: A file is missing.
    """
    from modelexport.hierarchy.part_files import part_files  # noqa: PLC0415 - only folders

    return {part.role: part for part in part_files(folder)}


def parts_that_have(
    folder: Path, work: Callable[["PartFiles"], Result]
) -> "dict[PartRole, Result]":
    """The results of working with the parts of a folder, as `those_that_have` does.

    Raises:
        FileProblem: A file is missing.
        NoSuchModuleError: No part has the module that is asked for.
    """
    parts = parts_by_role(folder).values()
    return {part.role: result for part, result in those_that_have(parts, work)}


def with_each_part(
    folder: Path,
    output: Path | None,
    work: Callable[["PartFiles", Path | None], Result],
    *,
    force: bool = False,
) -> dict[PartRole, Result]:
    """Work with the file of each part.

    Args:
        folder: The folder of parts.
        output: The folder that gets the files that are written; None where none are.
        work: Gets a part, and the file to write.
        force: Whether existing files may be overwritten.

    Raises:
        UsageError: The output is standard output.
        FileProblem: A file is missing, exists already or cannot be written.
    """
    from modelexport.pipeline.parts import part_folder  # noqa: PLC0415 - only for folders

    if output is None:
        return {role: work(part, None) for role, part in parts_by_role(folder).items()}
    if output == STDIO:
        raise UsageError("-o -: a folder of parts has several files; name a folder.")
    return part_folder.write_each_part(folder, output, work, force=force)


def counterpart(path: Path | None, role: PartRole, *, record: bool = False) -> Path | None:
    """The file to use for a part, see `part_files.counterpart`."""
    from modelexport.hierarchy import part_files  # noqa: PLC0415 - only folders

    return part_files.counterpart(path, role, record=record)
