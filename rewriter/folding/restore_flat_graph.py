"""How the flat graph is brought back: inlined nodes under their earlier names and in their order.

The snapshot in the model's metadata tells names and order. Without it, or where another tool has
edited the folded file so that it does not fit, nodes stay in the order of inlining and keep names
made from module paths.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from modelexport.rewriter.folding.earlier_names import EarlierNames
from modelexport.rewriter.folding.flat_snapshot import FlatSnapshot, OriginalNode, restore
from modelexport.rewriter.folding.function_notes import (
    ConstantNote,
    read_constant_note,
    remove_constant_note,
)
from modelexport.rewriter.folding.inline_calls import InlinedCall
from modelexport.rewriter.folding.renamed_copy import renamed_copy
from modelexport.rewriter.folding.shared_constants import SharedConstants
from modelexport.rewriter.graph.subgraph_names import can_run_in_order
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
        self._earlier = EarlierNames(graph, self._snapshot)
        self._nodes: list[tuple[int | None, onnx.NodeProto]] = []
        self._new_weights: list[tuple[int | None, onnx.TensorProto]] = []
        self._constants = SharedConstants(graph)
        self._written: set[str] = set()
        self._typed = {value.name for value in graph.value_info}

    def add_node(self, node: onnx.NodeProto) -> None:
        """Add a node that is not a call."""
        name = next(iter(filter(None, node.output)), "")
        if name in self._written:  # a constant that an earlier call reads
            return
        self._nodes.append((self._snapshot.other_positions.get(name), node))

    def add_call(self, name: str, inlined: InlinedCall) -> None:
        """Add the nodes of one call.

        Args:
            name: Name of the call node.
            inlined: What stands in its place.
        """
        inlined_nodes = self._with_originals(name, inlined.nodes)
        names = _earlier_names(inlined_nodes)
        remaining = [n for n in inlined_nodes if n.note is None or self._add_constant(n, names)]
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
        nodes = [node for _, node in self._nodes]
        if all(position is not None for position, _ in self._nodes):
            earlier = [node for _, node in sorted(self._nodes, key=lambda pair: pair[0] or 0)]
            nodes = earlier if can_run_in_order(earlier) else nodes
        replace_messages(self._graph.node, nodes)
        if self._new_weights:
            self._write_weights()

    def _with_originals(self, call: str, nodes: Sequence[onnx.NodeProto]) -> list[_InlinedNode]:
        """The nodes of a call, each with what it was in the flat graph."""
        originals: Sequence[OriginalNode | None] | None = self._earlier.of_call(call, nodes)
        if originals is None:
            originals = [None] * len(nodes)
        return [
            _InlinedNode(node, original, read_constant_note(node))
            for node, original in zip(nodes, originals, strict=True)
        ]

    def _add_constant(self, constant: _InlinedNode, names: dict[str, str]) -> bool:
        """Bring back a constant that the flat graph had under a name of its own.

        Args:
            constant: The constant, which has a note.
            names: Gets its earlier name, if no other value of the file has this name now.

        Returns:
            Whether it becomes a node here. It does not if it was an initializer, which is added as
            one, or if it is in the graph already.
        """
        output, note = next(iter(constant.node.output), ""), constant.note
        name = _earlier_name(constant)
        if note is None or not output or not name:
            return True
        if self._constants.has_equal(name, constant.node):
            names[output] = name
            node = self._constants.node(name)
            if node is not None and name not in self._written:
                self.add_node(node)
                self._written.add(name)
            return False
        if self._earlier.is_in_use(name) or self._constants.has(name):
            return True
        names[output] = name
        if not note.is_node:
            self._add_weight(name, constant)
        self._constants.add(name, constant.node)
        return note.is_node

    def _add_weight(self, name: str, constant: _InlinedNode) -> None:
        weight = onnx.TensorProto()
        weight.CopyFrom(next(a.t for a in constant.node.attribute if a.name == "value"))
        weight.name = name
        position = constant.position
        self._new_weights.append((None if position is None else -1 - position, weight))

    def _write_weights(self) -> None:
        weights = list(self._graph.initializer)
        for position, weight in sorted(self._new_weights, key=lambda pair: pair[0] or 0):
            at = len(weights) if position is None else min(position, len(weights))
            weights.insert(at, weight)
        replace_messages(self._graph.initializer, weights)


def _earlier_name(constant: _InlinedNode) -> str:
    """The name of a constant in the flat graph."""
    if constant.original is not None:
        return next(iter(constant.original.outputs), "")
    return "" if constant.note is None else constant.note.name


def _earlier_names(nodes: list[_InlinedNode]) -> dict[str, str]:
    """The name of each value in the flat graph, by its name after inlining; without constants."""
    names: dict[str, str] = {}
    for inlined in nodes:
        if inlined.original is not None and inlined.note is None:
            pairs = zip(inlined.node.output, inlined.original.outputs, strict=True)
            names.update((now, earlier) for now, earlier in pairs if now != earlier)
    return names
