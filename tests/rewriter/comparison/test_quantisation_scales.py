"""The scales of quantised values, read off the graph."""

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
