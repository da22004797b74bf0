"""The manifest of a model that is deployed as several files: its parts, and how they connect.

A folder of parts holds an ONNX file and a record for each part, and `parts.json`. The schema is
`docs/parts.schema.json`, generated from the classes here.
"""

from pathlib import Path

import msgspec

from modelexport.errors import FileProblem
from modelexport.hierarchy.choices import PartRole
from modelexport.support.decode_errors import DECODE_ERRORS, explain_decode_error

FORMAT = "modelexport.parts"
VERSION = 1
"""The newest version of the format that can be read."""

MANIFEST = "parts.json"
"""Name of the manifest in its folder."""


class PartValue(msgspec.Struct, frozen=True):
    """An input or an output of a part.

    Attributes:
        name: Its name.
        dtype: ONNX's name of the type of its elements.
        shape: Its extents; the name of a dynamic axis in place of an extent, None for one without
            a name.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


class Part(msgspec.Struct, frozen=True):
    """One file of a model.

    Attributes:
        role: What it does.
        onnx: Its ONNX file, in the folder of the manifest.
        record: Its record, in the same folder.
        inputs: What it reads.
        outputs: What it gives.
    """

    role: PartRole
    onnx: str
    record: str
    inputs: tuple[PartValue, ...]
    outputs: tuple[PartValue, ...]


class Connection(msgspec.Struct, frozen=True):
    """An output of a part that is an input of another part, or of the same one in its next run.

    Attributes:
        source: The part that gives it.
        output: Its name there.
        target: The part that reads it.
        input: Its name there.
    """

    source: PartRole
    output: str
    target: PartRole
    input: str


class PartManifest(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a model.

    Attributes:
        format, version: The name and the version of the format.
        model: Where the model came from: hub id, base name of a folder, or `module:factory`.
        class_name: Class of the whole model.
        task: The task by which the architecture was chosen; None when the user gave none.
        parts: The parts, in the order in which they run.
        connections: Which outputs feed which inputs. All other inputs come from the user.
    """

    format: str = FORMAT
    version: int = VERSION
    model: str
    class_name: str
    task: str | None = None
    parts: tuple[Part, ...]
    connections: tuple[Connection, ...]


def is_part_folder(path: Path) -> bool:
    """Whether a path is a folder of parts."""
    return (path / MANIFEST).is_file()


def read_part_manifest(folder: Path) -> PartManifest:
    """Read the manifest in a folder of parts.

    Raises:
        FileProblem: It cannot be read, is no such manifest, or has a newer version.
    """
    file = folder / MANIFEST
    try:
        manifest = msgspec.json.decode(file.read_bytes(), type=PartManifest)
    except OSError as error:
        raise FileProblem(f"{file}: cannot be read ({error.strerror}).") from error
    except DECODE_ERRORS as error:
        raise FileProblem(
            f"{file}: not a manifest of parts ({explain_decode_error(error)})."
        ) from error
    if manifest.format != FORMAT or manifest.version > VERSION:
        raise FileProblem(
            f"{file}: it is {manifest.format} {manifest.version}, but this modelexport reads "
            f"{FORMAT} up to {VERSION}."
        )
    if reason := _find_fault(manifest):
        raise FileProblem(f"{file}: {reason}.")
    return manifest


def _find_fault(manifest: PartManifest) -> str | None:
    """What is wrong with the parts that a manifest lists, as the inner part of a sentence."""
    if not manifest.parts:
        return "it lists no parts"
    roles = [part.role for part in manifest.parts]
    if len(set(roles)) < len(roles):
        return "it lists two parts of one role"
    names = [name for part in manifest.parts for name in (part.onnx, part.record)]
    for name in names:
        if Path(name).name != name or name in {"", ".."} or "\0" in name:
            return f"{name!r} is not the name of a file in this folder"
        if name == MANIFEST or names.count(name) > 1:
            return f"it lists {name!r} as two files"
    return None


def encode_part_manifest(manifest: PartManifest) -> bytes:
    """The manifest as JSON that people can read."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
