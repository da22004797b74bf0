"""Folders of parts made by hand, for tests that need no tracer."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import onnx

from modelexport.hierarchy.choices import PartRole
from modelexport.hierarchy.part_manifest import (
    MANIFEST,
    Connection,
    Part,
    PartManifest,
    encode_part_manifest,
    read_part_manifest,
)
from modelexport.hierarchy.record import encode_record
from modelexport.pipeline.parts.part_values import part_values
from tests.helpers.commands import ROOT
from tests.helpers.handmade import two_layers, two_layers_record


def part_folder(folder: Path) -> Path:
    """A folder of two parts: two plain files of two layers, with their records."""
    folder.mkdir()
    parts = []
    for role in (PartRole.ENCODER, PartRole.DECODER):
        file = folder / f"{role}_model.onnx"
        onnx.save(two_layers(), file)
        record = file.with_suffix(".trace.json")
        record.write_bytes(encode_record(two_layers_record()))
        parts.append(Part(role, file.name, record.name, *part_values(file)))
    wire = Connection(PartRole.ENCODER, "y", PartRole.DECODER, "x")
    manifest = PartManifest(
        model="net", class_name="net.Net", parts=tuple(parts), connections=(wire,)
    )
    (folder / MANIFEST).write_bytes(encode_part_manifest(manifest))
    return folder


def names(folder: Path) -> list[str]:
    """Names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())


def roles(folder: Path) -> list[str]:
    """The roles of the parts in a folder."""
    return [str(part.role) for part in read_part_manifest(folder).parts]


def published(name: str, text: str) -> dict[str, Any]:
    """What was printed, which obeys its schema."""
    content: dict[str, Any] = json.loads(text)
    schema = json.loads((ROOT / "docs" / "schemas" / f"{name}.schema.json").read_text())
    jsonschema.validate(content, schema)
    return content
