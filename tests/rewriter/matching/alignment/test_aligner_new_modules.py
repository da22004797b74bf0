"""Growth around modules that the record does not have."""

from dataclasses import replace

from modelexport.rewriter.matching.alignment.aligner import Aligner
from tests.helpers.aligned import Aligned

ADAPTED = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16,16] v = {2}> {
    [base] r = MatMul (x, w)
    [adapter] d = MatMul (x, v)
    [join] j = Add (r, d)
    [last] y = Abs (j)
}"""


def joined(record: str, file: str = ADAPTED, new: tuple[str, ...] = ("adapter",)) -> dict[str, str]:
    """The pairs of a file with some new nodes, grown from the nodes around them."""
    case = Aligned(file, record)
    graphs = replace(case.graphs, new_nodes=frozenset(map(case.node, new)))
    pairs = case.pairs({"base": "base", "last": "last"})
    Aligner(graphs, pairs).grow()
    return case.named(pairs)


def test_what_joins_the_result_of_a_new_module_is_no_recorded_op() -> None:
    """Unless the op reads something else there, which the file does not have."""
    plain = ADAPTED.replace("[adapter] d = MatMul (x, v)", "").replace("Add (r, d)", "Add (r, r)")
    assert "join" not in joined(plain)
    other = ADAPTED.replace("[adapter] d = MatMul (x, v)", "[other] d = Cos (z)")
    other = other.replace("(float[8,16] x)", "(float[8,16] x, float[8,16] z)")
    assert joined(other)["join"] == "join"
    file = ADAPTED.replace("[join] j = Add (r, d)", "[second] e = Exp (x) [join] j = Add (r, d, e)")
    assert "join" not in joined(other, file, ("adapter", "second"))
