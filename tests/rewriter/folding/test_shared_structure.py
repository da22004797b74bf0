"""The order in which a function has its nodes, and what it costs to find it."""

from collections.abc import Iterator

import onnx

from modelexport.rewriter.folding.fold_graph import FoldGraph, FoldNode
from modelexport.rewriter.folding.shared_structure import find_structure
from modelexport.rewriter.matching import Decision


class CountingGraph(FoldGraph):
    """A graph that counts how many inputs are looked at."""

    looked_up = 0

    def producers_of(self, node: FoldNode) -> Iterator[FoldNode]:
        for producer in super().producers_of(node):
            self.looked_up += 1
            yield producer


def wide_graph(width: int) -> CountingGraph:
    """A graph of one node that reads what many nodes compute from the input."""
    names = [f"v{number}" for number in range(width)]
    nodes = [onnx.helper.make_node("Relu", ["x"], [name]) for name in names]
    nodes.append(onnx.helper.make_node("Concat", names, ["y"], axis=0))
    x, y = (onnx.helper.make_tensor_value_info(name, 1, None) for name in "xy")
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [x], [y]))
    decisions = [Decision("", number, "", node.op_type) for number, node in enumerate(nodes)]
    return CountingGraph(model, [], decisions)


def test_each_input_is_looked_at_once() -> None:
    """Time grows with the number of inputs, however many one node has."""
    graph = wide_graph(300)
    before = graph.looked_up
    structure = find_structure(graph, graph.nodes[::-1])
    assert structure.nodes == graph.nodes
    assert graph.looked_up - before == sum(len(node.inputs) for node in graph.nodes) - 300
