"""Which calls of a folded graph the snapshot of the flat graph still describes.

Tools edit folded files: they rename nodes and values, and add nodes. Inside functions, values
have other names than in the flat graph, so a tool may give a new value a name that the flat graph
had. Earlier names come back only where they fit the file as it is now.
"""

from collections.abc import Iterable, Sequence

import onnx

from modelexport.rewriter.folding.flat_snapshot import FlatSnapshot, OriginalNode
from modelexport.rewriter.folding.function_notes import read_constant_note
from modelexport.rewriter.graph.subgraph_names import names_in_use


class EarlierNames:
    """Finds the snapshot of each call, if it fits.

    Args:
        graph: The folded graph.
        snapshot: The state of the flat graph.
    """

    def __init__(self, graph: onnx.GraphProto, snapshot: FlatSnapshot) -> None:
        self._snapshot = snapshot
        self._values = names_in_use(graph)
        positions = snapshot.other_positions
        self._added_nodes = {
            node.name
            for node in graph.node
            if node.name not in snapshot.calls and next(iter(node.output), "") not in positions
        }

    def of_call(self, name: str, nodes: Sequence[onnx.NodeProto]) -> Sequence[OriginalNode] | None:
        """The earlier state of the nodes of a call; None if it is not known, or does not fit.

        It fits if the values that others read already have their earlier names, and if no other
        node or value of the file has one of the names.

        Args:
            name: Name of the call node.
            nodes: The nodes after inlining. Noted constants have names that calls share.
        """
        originals = self._snapshot.calls.get(name)
        if originals is None or len(originals) != len(nodes):
            return None
        earlier: set[str] = set()
        for node, original in zip(nodes, originals, strict=True):
            if original.name and original.name in self._added_nodes:
                return None
            if read_constant_note(node) is not None:
                continue
            if len(node.output) != len(original.outputs):
                return None
            for now, before in zip(node.output, original.outputs, strict=True):
                if now == before:
                    continue
                if not (now and before) or {now, before} & self._values or before in earlier:
                    return None
                earlier.add(before)
        self._values |= earlier
        return originals

    def is_in_use(self, name: str) -> bool:
        """Whether a value of the file has a name, or got it back."""
        return name in self._values


def snapshot_names(snapshot: FlatSnapshot) -> Iterable[str]:
    """Names of values and nodes that calls had in the flat graph."""
    for originals in snapshot.calls.values():
        for original in originals:
            yield from original.outputs
            if original.name:
                yield original.name
