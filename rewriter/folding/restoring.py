"""Putting the flat graph together: nodes under their earlier names, in their earlier order."""

from collections.abc import Sequence

import msgspec
import onnx

from modelexport.hierarchy import keys
from modelexport.rewriter.folding.flat_snapshot import Memory, Was, become
from modelexport.rewriter.folding.functions import ConstantNote
from modelexport.rewriter.folding.renaming import renamed


class Restoring:
    """Collects the nodes of a graph, and writes them into it at the end.

    Args:
        graph: The graph.
        memory: What is known of the flat graph, if anything.
    """

    def __init__(self, graph: onnx.GraphProto, memory: Memory | None) -> None:
        self._graph = graph
        self._memory = memory or Memory({}, {})
        self._nodes: list[tuple[int | None, onnx.NodeProto]] = []
        self._weights: list[tuple[int | None, onnx.TensorProto]] = []
        self._held = {weight.name for weight in graph.initializer}
        self._constants = {n.output[0]: n for n in graph.node if n.op_type == "Constant"}
        self._written: set[str] = set()
        self._types = {value.name for value in graph.value_info}

    def keep(self, node: onnx.NodeProto) -> None:
        """A node that is no call."""
        name = next(iter(filter(None, node.output)), "")
        if name in self._written:
            return
        self._written.add(name)
        self._nodes.append((self._memory.rest.get(name), node))

    def call(
        self, name: str, leaves: Sequence[onnx.NodeProto], types: list[onnx.ValueInfoProto]
    ) -> None:
        """The nodes of one call.

        Args:
            name: Of the call node.
            leaves: The nodes.
            types: Of the values inside.
        """
        known = self._memory.calls.get(name)
        history: Sequence[Was | None] = [None] * len(leaves)
        if known is not None and len(known) == len(leaves):
            history = known
        kept: list[tuple[Was | None, onnx.NodeProto]] = []
        names: dict[str, str] = {}
        for before, leaf in zip(history, leaves, strict=True):
            note = _note(leaf)
            if before is not None:
                pairs = zip(leaf.output, before.outputs, strict=False)
                names.update((now, then) for now, then in pairs if now != then)
            elif note is not None:
                names[leaf.output[0]] = note.name
            if note is None or self._is_new(leaf, note, before):
                kept.append((before, leaf))
        for before, leaf in kept:
            node = renamed(leaf, names) if names else leaf
            _forget_note(node)
            if before is not None:
                become(node, before)
            self._nodes.append((None if before is None else before.place, node))
        for value in types:
            value.name = names.get(value.name, value.name)
            if value.name not in self._types:
                self._types.add(value.name)
                self._graph.value_info.append(value)

    def _is_new(self, leaf: onnx.NodeProto, note: ConstantNote, before: Was | None) -> bool:
        """Whether a constant that the graph had itself becomes a node here.

        Not if it was an initializer, which comes back as one, or is a node already.
        """
        name = note.name if before is None else before.outputs[0]
        if name in self._written or name in self._held:
            return False
        if not note.node:
            weight = onnx.TensorProto()
            weight.CopyFrom(next(a.t for a in leaf.attribute if a.name == "value"))
            weight.name = name
            self._held.add(name)
            self._weights.append((None if before is None else -1 - before.place, weight))
            return False
        if name in self._constants:
            self.keep(self._constants[name])
            return False
        self._written.add(name)
        return True

    def finish(self) -> None:
        """Write nodes and weights; in the earlier order where all of it is known."""
        nodes = self._nodes
        if all(place is not None for place, _ in nodes):
            nodes = sorted(nodes, key=lambda pair: pair[0] or 0)
        messages = [node.SerializeToString() for _, node in nodes]
        del self._graph.node[:]
        self._graph.node.extend(onnx.NodeProto.FromString(message) for message in messages)
        if self._weights:
            self._finish_weights()

    def _finish_weights(self) -> None:
        rest = [weight.SerializeToString() for weight in self._graph.initializer]
        for place, weight in sorted(self._weights, key=lambda pair: pair[0] or 0):
            at = len(rest) if place is None else min(place, len(rest))
            rest.insert(at, weight.SerializeToString())
        del self._graph.initializer[:]
        self._graph.initializer.extend(onnx.TensorProto.FromString(message) for message in rest)


def _note(node: onnx.NodeProto) -> ConstantNote | None:
    for entry in node.metadata_props:
        if entry.key == keys.CONSTANT:
            return msgspec.json.decode(entry.value, type=ConstantNote)
    return None


def _forget_note(node: onnx.NodeProto) -> None:
    for number, entry in enumerate(node.metadata_props):
        if entry.key == keys.CONSTANT:
            del node.metadata_props[number]
            return
