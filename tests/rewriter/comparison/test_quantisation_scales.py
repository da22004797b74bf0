"""The scales of quantised values, read off the graph."""

import pytest

from modelexport.rewriter.comparison.quantisation_scales import QuantisationScales
from tests.helpers.handmade import parse

QUANTISED = """
g (float[2, 3] x) => (float[3, 2] y) {
    q = QuantizeLinear (x, scale, zero)
    r = Reshape (q, shape)
    t = Transpose <perm = [1, 0]> (r)
    y = DequantizeLinear (t, scale, zero)
    n = Relu (x)
}
"""


def test_scales_of_what_is_moved() -> None:
    """A quantised value has the scale of what it becomes; others have none."""
    scales = QuantisationScales(parse(QUANTISED).graph)
    assert [scales.of(name) for name in "qrt"] == [("scale", "zero")] * 3
    assert scales.of("n") is None


OPERATORS = """
g (uint8[2, 2] a, uint8[2, 2] b) => (uint8[2, 2] y) {
    m = QLinearMatMul (a, a_scale, a_zero, b, b_scale, b_zero, m_scale, m_zero)
    y = QLinearConcat <axis = 0> (y_scale, y_zero, m, m_scale2, m_zero2)
}
"""


def test_scales_of_what_operators_compute() -> None:
    """The result's scale stands at the end, or in front; an input's scale stands behind it."""
    scales = QuantisationScales(parse(OPERATORS).graph)
    assert scales.of("a") == ("a_scale", "a_zero")
    assert scales.of("b") == ("b_scale", "b_zero")
    assert scales.of("m") == ("m_scale", "m_zero")
    assert scales.of("y") == ("y_scale", "y_zero")


@pytest.mark.parametrize("operator", ["QLinearConv", "QLinearConcat", "QLinearMatMul", "QGemm"])
@pytest.mark.parametrize("inputs", range(2))
def test_an_operator_with_too_few_inputs_has_no_scale(operator: str, inputs: int) -> None:
    """A function of the file may have its name."""
    read = ", ".join(["a"] * inputs)
    text = f"g (uint8[2] a) => (uint8[2] y) {{ m = {operator} ({read}) y = Identity (m) }}"
    assert QuantisationScales(parse(text).graph).of("y") is None


@pytest.mark.parametrize(
    "nodes", ["y = Identity ()", "m = Identity (y) y = Identity (m)", "y = Identity (y)"]
)
def test_what_moves_nothing_or_itself_has_no_scale(nodes: str) -> None:
    """A node without an input, and nodes that read each other in a circle."""
    graph = parse(f"g (uint8[2] a) => (uint8[2] y) {{ {nodes} }}").graph
    assert QuantisationScales(graph).of("y") is None
