"""The last node of a file that was cut out of a model: nothing that is paired follows it."""

import pytest

from tests.helpers.aligned import Aligned, numbers
from tests.helpers.enclosed import enclose, ops

RECORD = """g (float[8,16] x) => (float[8,16] y) {
    [before] h = Neg (x)
    [half] a = Mul (h, h)
    [other] b = Abs (h)
    [square] c = Mul (h, a)
    [behind] d = Mul (c, b)
    [last] y = Add (d, a)
}"""
CUT = """g (float[8,16] x) => (float[8,16] m) {
    [before] h = Neg (x)
    [cut] m = Mul (h, h)
}"""
VALUES = {"x": numbers(1), "h": numbers(2)}


@pytest.mark.parametrize("exact", [True, False])
def test_it_is_an_op_of_its_operator_right_behind_what_it_follows(exact: bool) -> None:
    """Not of those further on; in a quantised file all up to the model's end may be."""
    case = Aligned(CUT, RECORD, file_values=VALUES, record_values=VALUES, rejects_mismatch=exact)
    near = ["half", "square"]
    every = ["half", "other", "square", "behind", "last"]
    assert ops(case, enclose(case, {"before": "before"})["cut"]) == (near if exact else every)
    unknown = Aligned(CUT, RECORD)
    assert ops(unknown, enclose(unknown, {"before": "before"})["cut"]) == near


def test_ops_that_other_nodes_do_are_left_out() -> None:
    """Without one of its operator, all ops up to the end of the model may be meant."""
    file = CUT.replace("[cut]", "[done] a = Mul (h, h) [cut]")
    case = Aligned(file, RECORD, file_values=VALUES, record_values=VALUES)
    actual = enclose(case, {"before": "before", "done": "half"})
    assert ops(case, actual["cut"]) == ["square"]
    case = Aligned(
        CUT.replace("Mul", "other.Mul"), RECORD, file_values=VALUES, record_values=VALUES
    )
    assert len(ops(case, enclose(case, {"before": "before"})["cut"])) > 2
