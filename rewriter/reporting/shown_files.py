"""The files of a report: those that are named, and the parts of folders."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelexport.errors import UsageError
from modelexport.hierarchy.choices import PartRole
from modelexport.hierarchy.part_files import part_files, sources_of_part
from modelexport.hierarchy.part_manifest import is_part_folder
from modelexport.hierarchy.place_options import PlaceOptions
from modelexport.hierarchy.record import Record


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
        sources = sources_of_part(part, record, inherit_from)
        yield ShownFile(
            path=part.onnx,
            name=f"{model.name}/{part.onnx.name}" if several else part.onnx.name,
            record=sources.record,
            inherit_from=sources.inherit_from,
            role=part.role,
        )
