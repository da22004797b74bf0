"""Writing a folder of parts anew, and pairing the parts of two folders."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from modelexport.errors import FileProblem
from modelexport.hierarchy.choices import PartRole
from modelexport.hierarchy.part_files import PartFiles, part_files
from modelexport.hierarchy.part_manifest import MANIFEST, encode_part_manifest, read_part_manifest
from modelexport.support.files import atomic_replacement, check_target
from modelexport.support.folders import atomic_folder
from modelexport.support.real_paths import real_path

Result = TypeVar("Result")


def write_each_part(
    folder: Path, target: Path, write: Callable[[PartFiles, Path], Result], *, force: bool
) -> dict[PartRole, Result]:
    """Write another folder of parts: a file for each, the same records and the same manifest.

    The files appear when all of them are done.

    Args:
        folder: The folder of parts.
        target: The folder to write; it is made.
        write: Writes the file of one part to a path, and returns a result.
        force: Overwrite existing files.

    Raises:
        FileProblem: A file exists already, or cannot be written.
    """
    parts, manifest = part_files(folder), read_part_manifest(folder)
    _check_target(folder, target, parts, force=force)
    with atomic_folder(target, force=force) as stage:
        results = {part.role: write(part, stage / part.onnx.name) for part in parts}
        for part in parts:
            if part.record.is_file():
                shutil.copy2(_inside(part.record), stage / part.record.name)
        with atomic_replacement(stage / MANIFEST) as file:
            file.write_bytes(encode_part_manifest(manifest))
    return results


def _inside(file: Path) -> Path:
    """The file to copy, if it is not a link to another folder.

    Raises:
        FileProblem: It is such a link.
    """
    if not real_path(file).is_relative_to(real_path(file.parent)):
        raise FileProblem(f"{file}: it is a link that leaves its folder, and is not copied.")
    return file


def _check_target(folder: Path, target: Path, parts: tuple[PartFiles, ...], *, force: bool) -> None:
    """Refuse a folder to write that is the input, or has such files already."""
    if not target.exists():
        return
    if target.samefile(folder):
        raise FileProblem(f"{target}: the output is also an input; choose another name.")
    for name in (*(part.onnx.name for part in parts), MANIFEST):
        check_target(target / name, force=force)


def paired_parts(a: Path, b: Path) -> Iterator[tuple[PartFiles, PartFiles]]:
    """The parts of two folders, pair by pair.

    Raises:
        FileProblem: One of them is no folder of parts, or has a part that the other lacks.
    """
    parts_a, parts_b = ({part.role: part for part in part_files(folder)} for folder in (a, b))
    for role in dict.fromkeys((*parts_a, *parts_b)):
        for folder, parts in ((a, parts_a), (b, parts_b)):
            if role not in parts:
                raise FileProblem(f"{folder}: has no part {role}, which the other folder has.")
        yield parts_a[role], parts_b[role]
