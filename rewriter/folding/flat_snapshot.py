"""The record of the flat graph in a folded model: with it, unfolding restores the same graph.

Nodes inside a function have names that fit all calls of the function. The model's metadata
keeps, compressed, the name and the position that each node had in the flat graph.
"""

import base64
import zlib

import msgspec
import onnx

from modelexport.hierarchy import keys
from modelexport.support.compressed import decompress
from modelexport.support.decode_errors import DECODE_ERRORS

MAX_SNAPSHOT_BYTES = 1 << 28
"""Maximum number of bytes that a snapshot may unpack to; a larger one counts as damaged."""


class OriginalNode(msgspec.Struct, frozen=True, array_like=True):
    """The state of one node of a call in the flat graph. It is stored as a JSON array.

    Attributes:
        position: Its position among the nodes; of an initializer, -1 minus its position among
            the initializers.
        name: Its name; None if it had none.
        outputs: Names of its outputs.
        doc_string: Its doc string; None if it had none.
        metadata: The metadata entries that other tools wrote.
    """

    position: int
    name: str | None
    outputs: tuple[str, ...]
    doc_string: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()


class FlatSnapshot(msgspec.Struct, frozen=True):
    """What a folded model cannot show about its flat graph.

    Attributes:
        calls: By the name of a call node of the main graph: its nodes in the order in which
            inlining reaches them. Functions inside functions are included.
        other_positions: Positions of the other nodes, by their first output.
    """

    calls: dict[str, list[OriginalNode]]
    other_positions: dict[str, int] = msgspec.field(name="rest")


def snapshot(node: onnx.NodeProto, position: int) -> OriginalNode:
    """The state of a node of the flat graph."""
    name = node.name if node.HasField("name") else None
    doc_string = node.doc_string if node.HasField("doc_string") else None
    return OriginalNode(position, name, tuple(node.output), doc_string, _foreign_entries(node))


def restore(node: onnx.NodeProto, original: OriginalNode) -> None:
    """Give a node its original name, doc string and metadata; our own entries come last."""
    for field, value in (("name", original.name), ("doc_string", original.doc_string)):
        node.ClearField(field)
        if value is not None:
            setattr(node, field, value)
    foreign = set(_foreign_entries(node))
    ours = [(e.key, e.value) for e in node.metadata_props if (e.key, e.value) not in foreign]
    del node.metadata_props[:]
    for key, value in (*original.metadata, *ours):
        node.metadata_props.add(key=key, value=value)


def _foreign_entries(node: onnx.NodeProto) -> tuple[tuple[str, str], ...]:
    """The metadata entries that other tools wrote."""
    if not node.metadata_props:
        return ()
    entries = [(entry.key, entry.value) for entry in node.metadata_props]
    ours = keys.are_ours([key for key, _ in entries])
    return tuple([entry for entry, is_ours in zip(entries, ours, strict=True) if not is_ours])


def write_snapshot(model: onnx.ModelProto, flat: FlatSnapshot) -> None:
    """Write the snapshot into the model's metadata."""
    packed = base64.b64encode(zlib.compress(msgspec.json.encode(flat), 9)).decode()
    model.metadata_props.add(key=keys.FOLDED, value=packed)


def take_snapshot(model: onnx.ModelProto) -> FlatSnapshot | None:
    """Read the snapshot and remove it from the model; None if there is none or it is damaged.

    Without it, unfolding makes names from module paths, as for a file without metadata.
    """
    for position, entry in enumerate(model.metadata_props):
        if entry.key == keys.FOLDED:
            packed = entry.value
            del model.metadata_props[position]
            try:
                text = decompress(base64.b64decode(packed, validate=True), MAX_SNAPSHOT_BYTES)
                return msgspec.json.decode(text, type=FlatSnapshot)
            except (ValueError, TypeError, *DECODE_ERRORS):
                return None
    return None
