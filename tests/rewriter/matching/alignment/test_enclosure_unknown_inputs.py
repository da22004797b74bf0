"""Nodes that follow an input of the file which was not recorded."""

import pytest

from modelexport.rewriter.matching.alignment.enclosure import Enclosed
from tests.helpers.aligned import Aligned, chain
from tests.helpers.enclosed import enclose, ops

INNER = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}> {
    [first] f = Tanh (x)
    [far] h = Neg (f)
    [product] m = MatMul (h, w)
    [sine] s = Sin (m)
    [after] y = Abs (s)
}"""
CUT = """g (float[8,16] given) => (float[8,16] y) <float[16,16] w = {1}> {
    [one] p = other.One (given) [weighed] m = other.Product (p, w)
    [sine] s = Sin (m) [after] y = Abs (s)
}"""


def test_behind_an_input_that_was_not_recorded_is_no_region() -> None:
    """It would go back to where the model begins; the op of the node's operator may stand there."""
    case = Aligned(CUT, INNER)
    actual = enclose(case, {"after": "after"})
    reason = "it follows an input of the file that was not recorded"
    assert actual["one"] == actual["weighed"] == Enclosed((), reason)
    assert ops(case, actual["sine"]) == ["sine"]
    case = Aligned(CUT, INNER, weights={"w": ["w"]})
    assert ops(case, enclose(case, {"after": "after"})["weighed"]) == ["product"]
    case = Aligned(CUT.replace("given", "x"), INNER)  # this one is a recorded input
    enclosed = ops(case, enclose(case, {"after": "after"})["one"])
    assert enclosed == ["first", "far", "product", "sine"]


def test_a_node_with_a_weight_of_an_op_parts_others_from_an_input_that_was_not_recorded() -> None:
    """What is behind it lies in a region."""
    record = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}> {
        [product] m = MatMul (x, w) [sine] s = Sin (m) [after] y = Abs (s)
    }"""
    file = CUT.replace("Sin (m)", "other.Sine (m)")
    case = Aligned(file, record)
    enclosed = enclose(case, {"after": "after"}, anchored={"weighed": ("product",)})
    assert ops(case, enclosed["sine"]) == ["sine"]


@pytest.mark.parametrize(("length", "is_found"), [(48, True), (49, False)])
def test_an_input_that_was_not_recorded_is_looked_for_among_48_nodes(
    length: int, is_found: bool
) -> None:
    """Holds MOST_NEIGHBOURHOOD_NODES. Beyond them, a node is one of those from where it begins."""
    nodes = chain(length, first="given", last="k").replace("Neg", "other.Step")
    file = f"g (float[8,16] given) => (float[8,16] y) {{ {nodes} [after] y = Abs (k) }}"
    case = Aligned(file, INNER)
    last = enclose(case, {"after": "after"})[f"n{length - 1}"]
    assert bool(last.reason) is is_found
