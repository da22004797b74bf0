"""The files of a folder of parts."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from modelexport.errors import FileProblem
from modelexport.hierarchy.choices import PartRole
from modelexport.hierarchy.part_manifest import MANIFEST, is_part_folder, read_part_manifest

if TYPE_CHECKING:
    from modelexport.hierarchy.record import Record


@dataclass(frozen=True)
class PartFiles:
    """The files of one part.

    Attributes:
        role: What the part does.
        onnx: Its ONNX file.
        record: Its record.
    """

    role: PartRole
    onnx: Path
    record: Path

    def existing_record(self) -> Path | None:
        """Its record; None where the folder has the ONNX files alone."""
        return self.record if self.record.is_file() else None


def part_files(folder: Path) -> tuple[PartFiles, ...]:
    """The files of the parts in a folder, in the order in which they run.

    Raises:
        FileProblem: The folder has no manifest, or a file that it lists is missing.
    """
    if not is_part_folder(folder):
        raise FileProblem(
            f"{folder}: it is no folder of parts, because there is no {MANIFEST} in it."
        )
    manifest = read_part_manifest(folder)
    parts = tuple(
        PartFiles(part.role, folder / part.onnx, folder / part.record) for part in manifest.parts
    )
    for part in parts:
        if not part.onnx.is_file():
            raise FileProblem(f"{part.onnx}: {MANIFEST} lists it, but there is no such file.")
        if part.record.exists() and not part.record.is_file():
            raise FileProblem(f"{part.record}: {MANIFEST} lists it, but it is not a regular file.")
    return parts


def part_of_file(file: Path) -> PartFiles | None:
    """The part that an ONNX file is; None where its folder has no manifest that lists it."""
    try:
        parts = part_files(file.parent) if is_part_folder(file.parent) else ()
    except FileProblem:
        return None  # another tool's manifest, or a broken one
    return next((part for part in parts if part.onnx.name == file.name), None)


def file_of_role(folder: Path, role: PartRole, *, record: bool = False) -> Path:
    """The file of a part.

    Args:
        folder: The folder of parts.
        role: The role of the part.
        record: Whether the record is wanted, not the ONNX file.

    Raises:
        FileProblem: The folder has no such part.
    """
    part = next((part for part in part_files(folder) if part.role is role), None)
    if part is None:
        raise FileProblem(f"{folder}: it has no {role.words}.")
    return part.record if record else part.onnx


class HierarchySources(NamedTuple):
    """Where the hierarchy of a file comes from, if the file itself does not have it.

    Attributes:
        record: A record, or its path.
        inherit_from: An annotated file.
    """

    record: "Record | Path | None"
    inherit_from: Path | None


def sources_of_part(
    part: PartFiles, record: "Record | str | Path | None", inherit_from: str | Path | None
) -> HierarchySources:
    """Where the hierarchy of a part comes from: its own record, unless another source is given.

    Args:
        part: The part.
        record: A record, its path, or a folder of parts; None for none of these.
        inherit_from: An annotated file, or a folder of parts; None for neither.

    Raises:
        FileProblem: A folder has no such part.
    """
    if record is None or isinstance(record, str | Path):
        own = part.existing_record() if inherit_from is None else None
        record = counterpart(record, part.role, record=True) or own
    return HierarchySources(record, counterpart(inherit_from, part.role))


def counterpart(source: str | Path | None, role: PartRole, *, record: bool = False) -> Path | None:
    """The file to use for a part: of a folder of parts, that of the same role.

    Args:
        source: A file or a folder of parts; None for neither.
        role: The role of the part.
        record: Whether the record is wanted, not the ONNX file.

    Raises:
        FileProblem: The folder has no such part.
    """
    path = None if source is None else Path(source)
    return file_of_role(path, role, record=record) if path and is_part_folder(path) else path
