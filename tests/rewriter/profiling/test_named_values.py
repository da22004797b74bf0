"""Which values of a file the values of its optimised form are, told by names."""

import pytest
from onnx import NodeProto, helper

from modelexport.rewriter.profiling.named_values import GraphValues, stand_in
from tests.helpers.handmade import two_layers

FILE = list(two_layers().graph.node)


def _node(operator: str, inputs: str, output: str, name: str = "") -> NodeProto:
    return helper.make_node(operator, inputs.split(), [output], name)


def _found(*changes: NodeProto, without: str = "") -> dict[str, str]:
    """The values of the file without some nodes, with others behind the nodes that are left."""
    left = [node for node in FILE if node.name not in without.split()]
    return GraphValues.of_file(FILE).find_in([*left, *changes])


def test_a_value_that_kept_its_name_is_the_files_value() -> None:
    """Whatever computes it now."""
    fused = _node("FusedMatMul", "x layer.0.fc.weight layer.0.fc.bias", "r0", "fused")
    found = _found(fused, without="proj0 bias0 relu0")
    assert found["r0"] == "r0"
    assert "h0" not in found


@pytest.mark.parametrize(("without", "expected"), [("relu0", "r0"), ("", "Cast_r0")])
def test_a_value_is_named_after_one_that_is_lost(without: str, expected: str) -> None:
    """Where the file's value is still computed, a name alone tells nothing."""
    cast = _node("Exp", "a1", "Cast_r0")
    assert _found(cast, without=without)["Cast_r0"] == expected


def test_what_was_only_reshaped_holds_the_same_numbers() -> None:
    """Behind the value, and in front of it: there a chain of two leads to a known value."""
    behind = _node("Reshape", "a1 shape", "new")
    assert _found(behind)["new"] == "a1"
    chain = [_node("Gemm", "x w", "g0"), _node("Cast", "g0", "g1"), _node("Reshape", "g1 s", "a0")]
    found = _found(*chain, without="proj0 bias0")
    assert (found["g0"], found["g1"]) == ("a0", "a0")


def test_the_same_computation_gives_the_same_value() -> None:
    """A copy of a node; one with another attribute or another input is no copy."""
    assert _found(_node("Relu", "a0", "copy"))["copy"] == "r0"
    assert _found(_node("Relu", "a1", "copy"))["copy"] == "r1"
    other = helper.make_node("Relu", ["a0"], ["copy"], alpha=2)
    assert _found(other)["copy"] == "copy"


def test_a_kept_node_reads_what_it_read() -> None:
    """A node of new names in front of a node that kept its own."""
    first = _node("Gemm", "x layer.0.fc.weight layer.0.fc.bias", "g0", "new")
    kept = _node("Relu", "g0", "other", "relu0")
    assert _found(first, kept, without="proj0 bias0 relu0")["g0"] == "a0"


def test_stand_ins_of_many_names_differ() -> None:
    """And those of one name are equal."""
    names = [f"val_{number}" for number in range(500)]
    assert len({stand_in(name).quantiles for name in names}) == len(names)
    assert [stand_in(name) for name in names] == [stand_in(name) for name in names]
