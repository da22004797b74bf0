"""What a folded model remembers of its flat graph, so that unfolding brings back that very one.

Nodes inside a function have names that fit all of its calls. What they were called in each,
and where they stood, is kept in the model's metadata, compressed.
"""

import base64
import zlib
from collections.abc import Iterator

import msgspec
import onnx

from modelexport.hierarchy import keys


class Was(msgspec.Struct, frozen=True, array_like=True):
    """What one node of a call was in the flat graph.

    Attributes:
        place: Its position there; of an initializer, -1 less its position among these.
        name: Its name; None for none.
        outputs: What it made.
        doc: Its doc string; None for none.
        metadata: Its entries of others.
    """

    place: int
    name: str | None
    outputs: tuple[str, ...]
    doc: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()


class Memory(msgspec.Struct, frozen=True):
    """The flat graph.

    Attributes:
        calls: By the name of a call node of the main graph: its nodes, functions inside
            functions included, in the order in which inlining meets them.
        rest: Positions of the other nodes, by their first output.
    """

    calls: dict[str, list[Was]]
    rest: dict[str, int]


def was(node: onnx.NodeProto, place: int) -> Was:
    """What a node of the flat graph is."""
    name = node.name if node.HasField("name") else None
    doc = node.doc_string if node.HasField("doc_string") else None
    return Was(place, name, tuple(node.output), doc, tuple(_of_others(node)))


def become(node: onnx.NodeProto, before: Was) -> None:
    """Make of a node what it was; our own entries stay behind those of others."""
    for field, value in (("name", before.name), ("doc_string", before.doc)):
        node.ClearField(field)
        if value is not None:
            setattr(node, field, value)
    others = set(_of_others(node))
    ours = [(e.key, e.value) for e in node.metadata_props if (e.key, e.value) not in others]
    del node.metadata_props[:]
    for key, value in (*before.metadata, *ours):
        node.metadata_props.add(key=key, value=value)


def _of_others(node: onnx.NodeProto) -> Iterator[tuple[str, str]]:
    """Entries that are not ours: `hierarchy.keys` has the rule."""
    tagged = False
    for entry in node.metadata_props:
        tagged = tagged or entry.key == keys.TAG
        if not entry.key.startswith(keys.OURS) and not (tagged and entry.key in keys.SHARED):
            yield entry.key, entry.value


def remember(model: onnx.ModelProto, memory: Memory) -> None:
    """Write it into the model."""
    packed = base64.b64encode(zlib.compress(msgspec.json.encode(memory), 9)).decode()
    model.metadata_props.add(key=keys.FOLDED, value=packed)


def recall(model: onnx.ModelProto) -> Memory | None:
    """Read it and take it out of the model; None when there is none, or it is damaged."""
    for number, entry in enumerate(model.metadata_props):
        if entry.key == keys.FOLDED:
            del model.metadata_props[number]
            try:
                text = zlib.decompress(base64.b64decode(entry.value, validate=True))
                return msgspec.json.decode(text, type=Memory)
            except (ValueError, zlib.error, msgspec.DecodeError):
                return None  # names are then made of paths, as for a file that lost its metadata
    return None
