"""What is to be changed in a file, and where that is in its bytes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto
from onnx import StringStringEntryProto as Entry

from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.graph_paths import NodeKey, Place, holds_bodies, walk_graphs
from modelexport.rewriter.container.splicing import Splices, resized
from modelexport.rewriter.container.wire import (
    LENGTH,
    Buffer,
    Field,
    WireError,
    encode_field,
    fields,
    messages,
)

Entries = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Edits:
    """What to write.

    Attributes:
        nodes: Entries to append to the `metadata_props` of nodes.
        model: Entries to append to those of the model.
        attributes: Tags to append to nodes as an attribute of ours.
        names: Names to give to nodes; None takes the field away.
        strip: Whether all entries and attributes of ours are taken out of the whole file first.
        keep: What of ours stays all the same, on nodes: `metadata`, `attributes`.
        keep_model: And which entries of ours on the model, by their keys.
        replace: Whether foreign entries on an edited node give way to new ones of the same
            key; or the keys for which they do.
    """

    nodes: Mapping[NodeKey, Entries] = field(default_factory=dict)
    model: Entries = ()
    attributes: Mapping[NodeKey, str] = field(default_factory=dict)
    names: Mapping[NodeKey, str | None] = field(default_factory=dict)
    strip: bool = True
    keep: frozenset[Inject] = frozenset()
    keep_model: frozenset[str] = frozenset()
    replace: bool | frozenset[str] = False

    def drops(self, kind: Inject) -> bool:
        """Whether what was written in this way is taken out of nodes."""
        return self.strip and kind not in self.keep

    def drops_entry(self, key: str) -> bool:
        """Whether an entry of the model is taken out."""
        return self.strip and key.startswith(keys.OURS) and key not in self.keep_model


@dataclass
class Changes:
    """What writing did.

    Attributes:
        removed: How many entries of each key were taken out of nodes.
        removed_from_model: And out of the model.
        nodes_cleared: How many nodes had some.
        attributes: How many attributes of ours were taken out.
        names: How many nodes got another name.
    """

    removed: Counter[str] = field(default_factory=Counter)
    removed_from_model: Counter[str] = field(default_factory=Counter)
    nodes_cleared: int = 0
    attributes: int = 0
    names: int = 0


class Editing:
    """Finds the bytes that edits change.

    The skeleton says which node is which, the wire where it stands. Both are walked side by
    side in the order of `walk_graphs`, and have to agree on every graph.

    Args:
        data: The file.
        model: Its skeleton.
        edits: The edits.

    Attributes:
        splices: What makes the edited file of it.
        changes: What that takes out.

    Raises:
        WireError: The two readings differ, or a message has a length prefix that cannot grow.
        ValueError: An edit is for a node that is not there.
    """

    def __init__(self, data: Buffer, model: ModelProto, edits: Edits) -> None:
        self._data = data
        self._edits = edits
        self._made: dict[int, dict[tuple[str, str], bytes]] = {}
        places = list(walk_graphs(model))
        self._nested = len(places) > 1
        self._places = iter(places)
        self._edited: Counter[str] = Counter()
        self.splices = Splices()
        self.changes = Changes()
        self._edit()

    def _edit(self) -> None:
        top = [part for part in fields(self._data, 0, len(self._data)) if part.wire_type == LENGTH]
        self._graph([part for part in top if part.number == ModelProto.GRAPH_FIELD_NUMBER])
        for part in top:
            if part.number == ModelProto.FUNCTIONS_FIELD_NUMBER:
                self._graph([part])
        if next(self._places, None) is not None:
            raise WireError("protobuf reads more graphs than there are in its bytes")
        edits = self._edits
        wanted = {"nodes": edits.nodes, "attributes": edits.attributes, "names": edits.names}
        if any(self._edited[kind] != len(every) for kind, every in wanted.items()):
            raise ValueError("an edit is for a node that is not in the file")
        for entry in top:
            if entry.number == ModelProto.METADATA_PROPS_FIELD_NUMBER:
                key = self._key(entry)
                if self._edits.drops_entry(key):
                    self.splices.remove(entry.start, entry.end)
                    self.changes.removed_from_model[key] += 1
        number = ModelProto.METADATA_PROPS_FIELD_NUMBER
        self._append(len(self._data), self._edits.model, number=number)

    def _graph(self, parts: list[Field]) -> None:
        """Edit a graph or function, which may come in several parts that protobuf merges."""
        place = next(self._places, None)
        if place is None:
            raise WireError("protobuf reads fewer graphs than there are in its bytes")
        nodes = iter(enumerate(place.graph.node))
        number = _node_field(place)
        for part in parts:
            with self.splices.inside(part):
                for found in messages(self._data, part, number):
                    position, node = next(nodes, (0, None))
                    if node is None:
                        raise WireError(_disagreement(place, "fewer"))
                    before = self.splices.growth
                    self._node(NodeKey(place.path, position), node, found)
                    self.splices.mend(found, before)
        if next(nodes, None) is not None:
            raise WireError(_disagreement(place, "more"))

    def _node(self, key: NodeKey, node: NodeProto, found: Field) -> None:
        if self._nested and holds_bodies(node):
            for attribute in messages(self._data, found, NodeProto.ATTRIBUTE_FIELD_NUMBER):
                self._attribute(attribute)
        new = self._edits.nodes.get(key)
        if node.metadata_props:
            self._remove(found, new or ())
        if self._edits.drops(Inject.ATTRIBUTES) and any(
            a.name == keys.TAG_ATTRIBUTE for a in node.attribute
        ):
            self._remove_attribute(found)
        if key in self._edits.names:
            self._edited["names"] += 1
            self._rename(found, self._edits.names[key])
        if new is not None:
            self._edited["nodes"] += 1
            self._append(found.end, new, number=NodeProto.METADATA_PROPS_FIELD_NUMBER)
        tag = self._edits.attributes.get(key)
        if tag is not None:
            self._edited["attributes"] += 1
            self._append_attribute(found.end, tag)

    def _remove_attribute(self, node: Field) -> None:
        for attribute in messages(self._data, node, NodeProto.ATTRIBUTE_FIELD_NUMBER):
            for name in messages(self._data, attribute, AttributeProto.NAME_FIELD_NUMBER):
                if self._data[name.payload : name.end] == keys.TAG_ATTRIBUTE.encode():
                    self.splices.remove(attribute.start, attribute.end)
                    self.changes.attributes += 1

    def _rename(self, node: Field, name: str | None) -> None:
        """Write another name over a node's own, or before all fields of a node that has none."""
        there = list(messages(self._data, node, NodeProto.NAME_FIELD_NUMBER))
        self.changes.names += 1
        if name is None:
            for field_ in there:
                self.splices.remove(field_.start, field_.end)
        elif there:
            value = name.encode()
            prefix = resized(there[-1], len(value))
            self.splices.replace(there[-1].length_at, there[-1].end, prefix + value)
        else:
            made = encode_field(NodeProto.NAME_FIELD_NUMBER, name.encode())
            self.splices.insert(node.payload, made)

    def _append_attribute(self, at: int, tag: str) -> None:
        made = AttributeProto(name=keys.TAG_ATTRIBUTE, type=AttributeProto.STRING, s=tag.encode())
        payload = made.SerializeToString(deterministic=True)
        self.splices.insert(at, encode_field(NodeProto.ATTRIBUTE_FIELD_NUMBER, payload))

    def _attribute(self, attribute: Field) -> None:
        """Edit the bodies that an attribute holds, in the order of `graph_paths.bodies`."""
        one = list(messages(self._data, attribute, AttributeProto.G_FIELD_NUMBER))
        with self.splices.inside(attribute):
            if one:
                self._graph(one)
            for part in messages(self._data, attribute, AttributeProto.GRAPHS_FIELD_NUMBER):
                self._graph([part])

    def _remove(self, node: Field, new: Entries) -> None:
        """Take out the entries of ours, and foreign ones that the new ones replace."""
        entries = list(messages(self._data, node, NodeProto.METADATA_PROPS_FIELD_NUMBER))
        names = [self._key(entry) for entry in entries]
        gone = goes(names, new, self._edits)
        for entry, key, leaves in zip(entries, names, gone, strict=True):
            if leaves:
                self.splices.remove(entry.start, entry.end)
                self.changes.removed[key] += 1
        self.changes.nodes_cleared += any(gone)

    def _key(self, entry: Field) -> str:
        """The key of a metadata entry; of one that is no UTF-8, something nobody writes."""
        key = b""
        for part in messages(self._data, entry, Entry.KEY_FIELD_NUMBER):
            key = self._data[part.payload : part.end]
        return key.decode(errors="backslashreplace")

    def _append(self, at: int, entries: Entries, *, number: int) -> None:
        if not entries:
            return
        made = self._made.setdefault(number, {})  # nodes share few entries: each is encoded once
        for entry in entries:
            if entry not in made:
                key, value = entry
                payload = Entry(key=key, value=value).SerializeToString(deterministic=True)
                made[entry] = encode_field(number, payload)
        self.splices.insert(at, b"".join([made[entry] for entry in entries]))


def goes(names: Sequence[str], new: Entries, edits: Edits) -> list[bool]:
    """Which metadata entries of one node an edit takes out, given their keys in order.

    `hierarchy.keys` has the rule of which are ours.
    """
    replaced = edits.replace
    if replaced is True:
        replaced = frozenset(key for key, _ in new)
    elif not replaced or not new:
        replaced = frozenset()
    tagged = False
    found = []
    for key in names:
        tagged = tagged or key == keys.TAG
        ours = key.startswith(keys.OURS) or (tagged and key in keys.SHARED)
        found.append(edits.drops(Inject.METADATA) if ours else key in replaced)
    return found


def _node_field(place: Place) -> int:
    if isinstance(place.graph, FunctionProto):
        return FunctionProto.NODE_FIELD_NUMBER
    return GraphProto.NODE_FIELD_NUMBER


def _disagreement(place: Place, what: str) -> str:
    where = f"graph {place.path!r}" if place.path else "the main graph"
    return f"protobuf reads {what} nodes in {where} than there are in its bytes"
