"""Commands on a folder of parts: they do with each of its files what they do with one file."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from modelexport.errors import FileProblem, UsageError
from modelexport.hierarchy.choices import PartRole
from modelexport.support.stdio import STDIO

if TYPE_CHECKING:
    from modelexport.pipeline.parts.part_folder import PartFiles

Result = TypeVar("Result")


def check_parts(output: Path | None, other: Path | None, *, dry_run: bool) -> Path:
    """Refuse what cannot be done with --parts.

    Args:
        output: The folder of the parts.
        other: A record or a report that is asked for.
        dry_run: Whether nothing is to be written.

    Returns:
        The folder.

    Raises:
        UsageError: There is no folder, or something that is for a single file.
    """
    if output is None:
        raise UsageError("--parts needs the folder to write to, in place of OUT.onnx.")
    if other is not None:
        raise UsageError(
            "--parts writes a record for each part: leave out --record, --record-only and --report."
        )
    if dry_run:
        raise UsageError("--dry-run cannot be used with --parts, which are found by a run.")
    return output


def is_folder(path: Path) -> bool:
    """Whether a command's argument is a folder of parts."""
    if path == STDIO or not path.is_dir():
        return False
    from modelexport.hierarchy.part_manifest import is_part_folder  # noqa: PLC0415 - only folders

    return is_part_folder(path)


def expand_folders(paths: list[Path]) -> list[Path]:
    """The files, with the files of its parts in place of each folder of parts."""
    from modelexport.pipeline.parts.part_folder import part_files  # noqa: PLC0415 - only folders

    return [
        file
        for path in paths
        for file in ([part.onnx for part in part_files(path)] if is_folder(path) else [path])
    ]


def title(role: PartRole) -> str:
    """A part's role as it is printed."""
    return role.replace("_", " ")


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
        return {part.role: work(part, None) for part in part_folder.part_files(folder)}
    if output == STDIO:
        raise UsageError("-o -: a folder of parts has several files; name a folder.")
    return part_folder.write_each_part(folder, output, work, force=force)


def counterpart(path: Path | None, role: PartRole, *, record: bool = False) -> Path | None:
    """The file to use for a part: of a folder of parts, that of the same role.

    Args:
        path: A file or a folder of parts; None for neither.
        role: The role of the part.
        record: Whether the record is wanted, not the ONNX file.

    Raises:
        FileProblem: The folder has no such part.
    """
    if path is None or not is_folder(path):
        return path
    from modelexport.pipeline.parts.part_folder import part_files  # noqa: PLC0415 - only folders

    for part in part_files(path):
        if part.role == role:
            return part.record if record else part.onnx
    raise FileProblem(f"{path}: it has no {title(role)}.")
