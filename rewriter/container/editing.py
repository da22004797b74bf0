"""Where the bytes are that edits change."""

from collections import Counter
from collections.abc import Iterable

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto
from onnx import StringStringEntryProto as Entry

from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.graph_paths import LocatedGraph, NodeKey, has_subgraphs, walk_graphs
from modelexport.rewriter.container.edits import Changes, Edits, Entries
from modelexport.rewriter.container.metadata_entries import EntryReader
from modelexport.rewriter.container.splicing import Splices, resized_prefix
from modelexport.support.protobuf_wire import (
    LENGTH,
    Buffer,
    Field,
    WireError,
    encode_field,
    fields,
    submessages,
)


def splice_edits(data: Buffer, model: ModelProto, edits: Edits) -> tuple[Splices, Changes]:
    """Find the bytes that edits change.

    The skeleton says which node is which, the wire format where its bytes are. Both are walked
    side by side in the order of `walk_graphs`, and must agree on every graph.

    Args:
        data: The file.
        model: Its skeleton.
        edits: The edits.

    Returns:
        The splices that turn the file into the edited file, and what they change.

    Raises:
        WireError: The two readings differ, or a message has a length prefix that cannot grow.
        ValueError: An edit is for a node that the file does not have.
    """
    splicer = _EditSplicer(data, model, edits)
    splicer.splice_model()
    return splicer.splices, splicer.changes


class _EditSplicer:
    """One run of `splice_edits`."""

    def __init__(self, data: Buffer, model: ModelProto, edits: Edits) -> None:
        self._data = data
        self._edits = edits
        self._reader = EntryReader(data)
        self._removals: dict[tuple[str, ...], list[bool]] = {}
        self._encoded: dict[int, dict[tuple[str, str], bytes]] = {}
        places = list(walk_graphs(model))
        self._has_subgraphs = len(places) > 1
        self._places = iter(places)
        self._edited: Counter[str] = Counter()
        self.splices = Splices()
        self.changes = Changes()

    def splice_model(self) -> None:
        """Splice the whole file."""
        data = self._data
        top = [part for part in fields(data, 0, len(data)) if part.wire_type == LENGTH]
        self._splice_graph([f for f in top if f.number == ModelProto.GRAPH_FIELD_NUMBER])
        for function in top:
            if function.number == ModelProto.FUNCTIONS_FIELD_NUMBER:
                self._splice_graph([function])
        if next(self._places, None) is not None:
            raise WireError("protobuf reads more graphs than the bytes contain")
        self._check_all_edited()
        self._splice_model_entries(
            f for f in top if f.number == ModelProto.METADATA_PROPS_FIELD_NUMBER
        )

    def _check_all_edited(self) -> None:
        edits = self._edits
        expected = {"nodes": edits.nodes, "attributes": edits.attributes, "names": edits.names}
        if any(self._edited[kind] != len(nodes) for kind, nodes in expected.items()):
            raise ValueError("an edit is for a node that is not in the file")

    def _splice_model_entries(self, entries: Iterable[Field]) -> None:
        for entry in entries:
            key = self._reader.key(entry)
            if self._edits.removes_from_model(key):
                self.splices.remove(entry.start, entry.end)
                self.changes.removed_from_model[key] += 1
        self._append_entries(
            len(self._data), self._edits.model, field_number=ModelProto.METADATA_PROPS_FIELD_NUMBER
        )

    def _splice_graph(self, parts: list[Field]) -> None:
        """Splice a graph or function. It may be stored in several parts: protobuf merges them."""
        place = next(self._places, None)
        if place is None:
            raise WireError("protobuf reads fewer graphs than the bytes contain")
        nodes = iter(enumerate(place.graph.node))
        field_number = _node_field_number(place)
        for part in parts:
            with self.splices.inside(part):
                for node_field in submessages(self._data, part, field_number):
                    position, node = next(nodes, (0, None))
                    if node is None:
                        raise WireError(_node_count_error(place, "fewer"))
                    growth_before = self.splices.growth
                    self._splice_node(NodeKey(place.path, position), node, node_field)
                    self.splices.update_length(node_field, growth_before)
        if next(nodes, None) is not None:
            raise WireError(_node_count_error(place, "more"))

    def _splice_node(self, key: NodeKey, node: NodeProto, node_field: Field) -> None:
        if self._has_subgraphs and has_subgraphs(node):
            for attribute in submessages(self._data, node_field, NodeProto.ATTRIBUTE_FIELD_NUMBER):
                self._splice_subgraphs(attribute)
        new = self._edits.nodes.get(key)
        if node.metadata_props:
            self._remove_entries(node_field, new or ())
        if self._edits.removes(Inject.ATTRIBUTES) and any(
            a.name == keys.TAG_ATTRIBUTE for a in node.attribute
        ):
            self._remove_attribute(node_field)
        if key in self._edits.names:
            self._edited["names"] += 1
            self._rename(node_field, self._edits.names[key])
        if new is not None:
            self._edited["nodes"] += 1
            self._append_entries(
                node_field.end, new, field_number=NodeProto.METADATA_PROPS_FIELD_NUMBER
            )
        tag = self._edits.attributes.get(key)
        if tag is not None:
            self._edited["attributes"] += 1
            self._append_attribute(node_field.end, tag)

    def _splice_subgraphs(self, attribute: Field) -> None:
        """Splice the subgraphs that an attribute holds, in the order of `graph_paths.subgraphs`."""
        parts = list(submessages(self._data, attribute, AttributeProto.G_FIELD_NUMBER))
        with self.splices.inside(attribute):
            if parts:
                self._splice_graph(parts)
            for subgraph in submessages(self._data, attribute, AttributeProto.GRAPHS_FIELD_NUMBER):
                self._splice_graph([subgraph])

    def _remove_attribute(self, node: Field) -> None:
        for attribute in submessages(self._data, node, NodeProto.ATTRIBUTE_FIELD_NUMBER):
            for name in submessages(self._data, attribute, AttributeProto.NAME_FIELD_NUMBER):
                if self._data[name.payload : name.end] == keys.TAG_ATTRIBUTE.encode():
                    self.splices.remove(attribute.start, attribute.end)
                    self.changes.attributes += 1

    def _append_attribute(self, offset: int, tag: str) -> None:
        attribute = AttributeProto(
            name=keys.TAG_ATTRIBUTE, type=AttributeProto.STRING, s=tag.encode()
        )
        payload = attribute.SerializeToString(deterministic=True)
        self.splices.insert(offset, encode_field(NodeProto.ATTRIBUTE_FIELD_NUMBER, payload))

    def _rename(self, node: Field, name: str | None) -> None:
        """Overwrite a node's name; if it has none, insert one before all its fields."""
        present = list(submessages(self._data, node, NodeProto.NAME_FIELD_NUMBER))
        self.changes.names += 1
        if name is None:
            for name_field in present:
                self.splices.remove(name_field.start, name_field.end)
        elif present:
            value = name.encode()
            prefix = resized_prefix(present[-1], len(value))
            self.splices.replace(present[-1].length_at, present[-1].end, prefix + value)
        else:
            inserted = encode_field(NodeProto.NAME_FIELD_NUMBER, name.encode())
            self.splices.insert(node.payload, inserted)

    def _remove_entries(self, node: Field, new: Entries) -> None:
        """Remove our entries, and the entries of others that the new ones replace."""
        entries = [*self._reader.entries(node, NodeProto.METADATA_PROPS_FIELD_NUMBER)]
        removed = self._removed_entries(tuple([entry.key for entry in entries]), new)
        for (start, end, key), is_removed in zip(entries, removed, strict=True):
            if is_removed:
                self.splices.remove(start, end)
                self.changes.removed[key] += 1
        self.changes.nodes_cleared += any(removed)

    def _removed_entries(self, entry_keys: tuple[str, ...], new: Entries) -> list[bool]:
        """Whether each entry of a node is removed. Many nodes have entries of the same keys."""
        if new and self._edits.replace:
            return self._edits.removed_entries(entry_keys, new)
        removed = self._removals.get(entry_keys)
        if removed is None:
            removed = self._removals[entry_keys] = self._edits.removed_entries(entry_keys)
        return removed

    def _append_entries(self, offset: int, entries: Entries, *, field_number: int) -> None:
        if not entries:
            return
        # nodes share few different entries, so each is encoded once
        encoded = self._encoded.setdefault(field_number, {})
        for entry in entries:
            if entry not in encoded:
                key, value = entry
                payload = Entry(key=key, value=value).SerializeToString(deterministic=True)
                encoded[entry] = encode_field(field_number, payload)
        self.splices.insert(offset, b"".join([encoded[entry] for entry in entries]))


def _node_field_number(place: LocatedGraph) -> int:
    if isinstance(place.graph, FunctionProto):
        return FunctionProto.NODE_FIELD_NUMBER
    return GraphProto.NODE_FIELD_NUMBER


def _node_count_error(place: LocatedGraph, comparison: str) -> str:
    graph = f"graph {place.path!r}" if place.path else "the main graph"
    return f"protobuf reads {comparison} nodes in {graph} than the bytes contain"
