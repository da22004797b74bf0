"""The constants of a graph to which calls return while they are unfolded."""

import onnx

from modelexport.rewriter.folding.constants import (
    constant_of_initializer,
    constant_of_node,
    is_small,
)


class SharedConstants:
    """Constants of a graph by name: small initializers and Constant nodes.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        inputs = {value.name for value in graph.input}
        self._initializers = {w.name: w for w in graph.initializer if w.name not in inputs}
        self._nodes = {
            name: node
            for node in graph.node
            if node.op_type == "Constant"
            for name in node.output[:1]  # a damaged one has no result
        }
        self._contents: dict[str, bytes | None] = {}

    def node(self, name: str) -> onnx.NodeProto | None:
        """The node of the graph that makes a constant; None for an initializer."""
        return self._nodes.get(name)

    def has(self, name: str) -> bool:
        """Whether there is a constant of a name."""
        return name in self._contents or name in self._initializers or name in self._nodes

    def has_equal(self, name: str, node: onnx.NodeProto) -> bool:
        """Whether the constant of a name has the value that a Constant node makes."""
        return self.has(name) and self._content(name) == _content(node)

    def add(self, name: str, node: onnx.NodeProto) -> None:
        """Add a constant that the graph gets."""
        self._contents[name] = _content(node)

    def _content(self, name: str) -> bytes | None:
        if name not in self._contents:
            weight = self._initializers.get(name)
            self._contents[name] = (
                _content(self._nodes[name]) if weight is None else _weight_content(weight)
            )
        return self._contents[name]


def _content(node: onnx.NodeProto) -> bytes:
    return constant_of_node(node, 0).content


def _weight_content(weight: onnx.TensorProto) -> bytes | None:
    """Its value; None for an initializer that is no constant of the graph."""
    return constant_of_initializer(weight, 0).content if is_small(weight) else None
