"""The nodes that some values need, in an order in which they can run."""

import pytest
from onnx import helper

from modelexport.rewriter.comparison.quantisation.needed_nodes import CycleError, needed_nodes


def test_nodes_come_behind_those_that_they_read() -> None:
    """Nodes that nothing needs are left out."""
    last = helper.make_node("Relu", ["b"], ["c"])
    first = helper.make_node("Relu", ["a"], ["b"])
    unused = helper.make_node("Relu", ["a"], ["d"])
    assert needed_nodes([last, unused, first], ["c"]) == [first, last]


def test_a_cycle_is_named() -> None:
    """The values that need each other, without the one that only leads to them."""
    nodes = [
        helper.make_node("Add", ["a", "c"], ["b"]),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
    ]
    with pytest.raises(CycleError) as raised:
        needed_nodes(nodes, ["d"])
    assert raised.value.names == {"b", "c"}
