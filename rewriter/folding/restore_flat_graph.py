"""How the flat graph is brought back: inlined nodes under their earlier names and in their order.

The snapshot in the model's metadata tells names and order. Without it, nodes stay in the order
of inlining and keep names made from module paths.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from modelexport.rewriter.folding.flat_snapshot import FlatSnapshot, OriginalNode, restore
from modelexport.rewriter.folding.function_notes import (
    ConstantNote,
    read_constant_note,
    remove_constant_note,
)
from modelexport.rewriter.folding.inline_calls import InlinedCall
from modelexport.rewriter.folding.renamed_copy import renamed_copy
from modelexport.support.repeated_fields import replace_messages


@dataclass(frozen=True)
class _InlinedNode:
    """A node that comes out of a function.

    Attributes:
        node: The node.
        original: What it was in the flat graph, if known.
        note: The note on a constant.
    """

    node: onnx.NodeProto
    original: OriginalNode | None
    note: ConstantNote | None

    @property
    def position(self) -> int | None:
        """Its position in the flat graph; see `OriginalNode`."""
        return None if self.original is None else self.original.position


class FlatGraphBuilder:
    """Collects the nodes of a graph, and writes them into it at the end.

    Args:
        graph: The graph.
        snapshot: What is known of the flat graph, if anything.
    """

    def __init__(self, graph: onnx.GraphProto, snapshot: FlatSnapshot | None) -> None:
        self._graph = graph
        self._snapshot = snapshot or FlatSnapshot({}, {})
        self._nodes: list[tuple[int | None, onnx.NodeProto]] = []
        self._new_weights: list[tuple[int | None, onnx.TensorProto]] = []
        self._weight_names = {weight.name for weight in graph.initializer}
        self._constants = {
            name: node
            for node in graph.node
            if node.op_type == "Constant"
            for name in node.output[:1]  # a damaged one has no result
        }
        self._written: set[str] = set()
        self._typed = {value.name for value in graph.value_info}

    def add_node(self, node: onnx.NodeProto) -> None:
        """Add a node that is not a call."""
        name = next(iter(filter(None, node.output)), "")
        if name in self._written:
            return
        self._written.add(name)
        self._nodes.append((self._snapshot.other_positions.get(name), node))

    def add_call(self, name: str, inlined: InlinedCall) -> None:
        """Add the nodes of one call.

        Args:
            name: Name of the call node.
            inlined: What stands in its place.
        """
        inlined_nodes = self._with_originals(name, inlined.nodes)
        names = _earlier_names(inlined_nodes)
        remaining = [n for n in inlined_nodes if n.note is None or self._becomes_node(n, n.note)]
        for inner in remaining:
            node = renamed_copy(inner.node, names) if names else inner.node
            remove_constant_note(node)
            if inner.original is not None:
                restore(node, inner.original)
            self._nodes.append((inner.position, node))
        for value in inlined.types:
            value.name = names.get(value.name, value.name)
            if value.name not in self._typed:
                self._typed.add(value.name)
                self._graph.value_info.append(value)

    def write(self) -> None:
        """Write nodes and weights, in the earlier order if all of it is known."""
        nodes = self._nodes
        if all(position is not None for position, _ in nodes):
            nodes = sorted(nodes, key=lambda pair: pair[0] or 0)
        replace_messages(self._graph.node, [node for _, node in nodes])
        if self._new_weights:
            self._write_weights()

    def _with_originals(self, call: str, nodes: Sequence[onnx.NodeProto]) -> list[_InlinedNode]:
        """The nodes of a call, each with what it was in the flat graph."""
        originals: Sequence[OriginalNode | None] = self._snapshot.calls.get(call, ())
        if len(originals) != len(nodes):
            originals = [None] * len(nodes)
        return [
            _InlinedNode(node, original, read_constant_note(node))
            for node, original in zip(nodes, originals, strict=True)
        ]

    def _becomes_node(self, constant: _InlinedNode, note: ConstantNote) -> bool:
        """Whether a constant that the flat graph had itself becomes a node here.

        It does not if it was an initializer, which is added as one, or if it is there already.
        """
        name = note.name if constant.original is None else constant.original.outputs[0]
        if name in self._written or name in self._weight_names:
            return False
        if not note.is_node:
            self._add_weight(name, constant)
            return False
        if name in self._constants:
            self.add_node(self._constants[name])
            return False
        self._written.add(name)
        return True

    def _add_weight(self, name: str, constant: _InlinedNode) -> None:
        weight = onnx.TensorProto()
        weight.CopyFrom(next(a.t for a in constant.node.attribute if a.name == "value"))
        weight.name = name
        self._weight_names.add(name)
        position = constant.position
        self._new_weights.append((None if position is None else -1 - position, weight))

    def _write_weights(self) -> None:
        weights = list(self._graph.initializer)
        for position, weight in sorted(self._new_weights, key=lambda pair: pair[0] or 0):
            at = len(weights) if position is None else min(position, len(weights))
            weights.insert(at, weight)
        replace_messages(self._graph.initializer, weights)


def _earlier_names(nodes: list[_InlinedNode]) -> dict[str, str]:
    """The name of each value in the flat graph, by its name after inlining."""
    names: dict[str, str] = {}
    for inlined in nodes:
        if inlined.original is not None:
            pairs = zip(inlined.node.output, inlined.original.outputs, strict=False)
            names.update((now, earlier) for now, earlier in pairs if now != earlier)
        elif inlined.note is not None:
            names.update(dict.fromkeys(inlined.node.output[:1], inlined.note.name))
    return names
