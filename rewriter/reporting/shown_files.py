"""The files of a report: those that are named, and the parts of folders."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from modelexport.errors import FileProblem, UsageError
from modelexport.hierarchy.choices import PartRole
from modelexport.hierarchy.part_files import PartFiles, part_files
from modelexport.hierarchy.part_manifest import is_part_folder
from modelexport.hierarchy.place_options import PlaceOptions
from modelexport.hierarchy.record import Record

_Source = TypeVar("_Source", Record | str | Path, str | Path)


@dataclass(frozen=True)
class ShownFile:
    """One file of a report.

    Attributes:
        path: The file.
        name: Its name on the page.
        record: A record of its model.
        inherit_from: An annotated file of its model.
        role: What it does, if it stands in a folder of parts.
    """

    path: Path
    name: str
    record: Record | str | Path | None = None
    inherit_from: str | Path | None = None
    role: PartRole | None = None


def shown_files(model: Path, placement: PlaceOptions, *, several: bool) -> Iterator[ShownFile]:
    """The file itself; of a folder of parts, all of its files, with their own records.

    Args:
        model: A file, or a folder of parts.
        placement: How the modules are found. The record, or the annotated file, may be a folder of
            parts; it is used in place of the parts' own records.
        several: Whether the page shows other models, too: names then begin with the folder.

    Raises:
        FileProblem: A file is missing, or a folder lacks a part.
        UsageError: A folder of parts is given for a file.
    """
    record, inherit_from = placement.record, placement.inherit_from
    if not is_part_folder(model):
        for source in (record, inherit_from):
            if isinstance(source, str | Path) and is_part_folder(Path(source)):
                raise UsageError(f"{source}: a folder of parts, but {model} is one file.")
        yield ShownFile(model, model.name, record, inherit_from)
        return
    for part in part_files(model):
        own = part.existing_record() if inherit_from is None else None
        yield ShownFile(
            path=part.onnx,
            name=f"{model.name}/{part.onnx.name}" if several else part.onnx.name,
            record=own if record is None else _of_part(record, part, record=True),
            inherit_from=None if inherit_from is None else _of_part(inherit_from, part),
            role=part.role,
        )


def _of_part(source: _Source, part: PartFiles, *, record: bool = False) -> "_Source | Path":
    """The source for one part: of a folder of parts, the file of the same role.

    Args:
        source: What is given for all parts.
        part: The part.
        record: Whether its record is wanted, not its ONNX file.
    """
    if isinstance(source, Record) or not is_part_folder(Path(source)):
        return source
    for other in part_files(Path(source)):
        if other.role == part.role:
            return other.record if record else other.onnx
    raise FileProblem(f"{source}: it has no part {part.role}.")
