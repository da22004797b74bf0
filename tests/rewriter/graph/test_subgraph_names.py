"""Names that subgraphs define and capture."""

from modelexport.rewriter.graph.subgraph_names import captured_names, defined_names
from tests.helpers.handmade import parse

NESTED = """
agraph (float[N] x, float[N] z, bool when) => (float[N] y) {
   y = If (when) <
      then_branch = yes () => (p) {
         c = Neg (x)
         p = If (when) <
            then_branch = inner () => (q) { q = Add (z, c) },
            else_branch = other () => (x) { }>
      },
      else_branch = no () => (r) { r = Neg (z) }>
}
"""


def test_captured_names_are_those_not_defined_inside() -> None:
    """What nested subgraphs read, and give back, is captured unless a graph between defines it."""
    (node,) = parse(NESTED).graph.node
    assert captured_names(node) == ["x", "when", "z"]
    assert defined_names(node.attribute[0].g) == {"c", "p"}
