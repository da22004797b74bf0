"""The files of a folder of parts."""

from dataclasses import dataclass
from pathlib import Path

from modelexport.errors import FileProblem
from modelexport.hierarchy.choices import PartRole
from modelexport.hierarchy.part_manifest import MANIFEST, is_part_folder, read_part_manifest


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
            f"{folder}: a folder without {MANIFEST}, so not one of parts; give an ONNX file."
        )
    manifest = read_part_manifest(folder)
    parts = tuple(
        PartFiles(part.role, folder / part.onnx, folder / part.record) for part in manifest.parts
    )
    for part in parts:
        if not part.onnx.is_file():
            raise FileProblem(f"{part.onnx}: {MANIFEST} lists it, but there is no such file.")
    return parts
