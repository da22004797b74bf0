"""In a quantised file, values that are near to a recorded one tell the op of a step."""

import numpy as np

from modelexport.rewriter.matching.alignment.spans import Span
from tests.helpers.aligned import Aligned, numbers
from tests.helpers.enclosed import enclose, ops

RECORD = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}> {
    [before] h = Neg (x)
    [wave] s = Sin (h)
    [product] m = MatMul (s, w)
    [after] y = Abs (m)
}"""
ENDS = {"before": "before", "after": "after"}


def between_two_ops(
    record_values: dict[str, np.ndarray],
    some: np.ndarray | None,
    rest: np.ndarray | None,
    seeds: dict[str, str] = ENDS,
    record: str = RECORD,
) -> dict[str, list[str]]:
    """The ops of two nodes between `before` and `after`, by what they compute."""
    file = """g (float[8,16] x) => (float[8,16] y) {
        [before] h = Neg (x) [some] s = other.Some (h) [rest] r = other.Rest (s) [after] y = Abs (r)
    }"""
    values = {name: record_values[name] for name in "xh" if name in record_values}
    values |= {name: array for name, array in (("s", some), ("r", rest)) if array is not None}
    case = Aligned(
        file,
        record,
        file_values=values,
        record_values=record_values,
        quantised=True,
        rejects_mismatch=False,
    )
    spans = {
        node: Span((case.op(op),), frozenset(), closed=False)
        for node, op in seeds.items()
        if node not in ENDS
    }
    return {name: ops(case, actual) for name, actual in enclose(case, seeds, spans=spans).items()}


RECORDED = {name: numbers(n) for n, name in enumerate("xhsmy")}
EITHER = ["wave", "product"]


def test_the_op_whose_result_is_nearest_is_the_node() -> None:
    """Whichever runs first."""
    near = RECORDED["m"] + 0.01 * numbers(77)
    assert between_two_ops(RECORDED, RECORDED["s"], near) == {"some": ["wave"], "rest": ["product"]}


def test_a_node_that_is_near_to_two_results_is_neither_for_sure() -> None:
    """Nor is one that is as near to what it reads."""
    alike = {**RECORDED, "m": RECORDED["s"] + 0.01 * numbers(78)}
    near = RECORDED["s"] + 0.01 * numbers(77)
    assert between_two_ops(alike, near, None)["some"] == EITHER
    small = {**RECORDED, "s": RECORDED["h"] + 0.01 * numbers(79)}
    assert between_two_ops(small, small["s"] + 0.01 * numbers(77), None)["some"] == EITHER


def test_a_step_of_an_op_may_be_near_to_the_step_before_it() -> None:
    """That is a step of the same op."""
    step = RECORDED["m"] + 0.01 * numbers(78)
    near = RECORDED["m"] + 0.01 * numbers(77)
    seeds = {**ENDS, "some": "product"}
    record = RECORD.replace("[after] y = Abs (m)", "[turn] t = Tanh (m) [after] y = Abs (t)")
    actual = between_two_ops({**RECORDED, "t": numbers(81)}, step, near, seeds, record)
    assert actual["rest"] == ["product"]


def test_a_node_that_is_near_to_no_result_is_none_for_sure() -> None:
    """Although nothing else is known that could be nearer."""
    recorded = {name: RECORDED[name] for name in "xsy"}
    assert between_two_ops(recorded, numbers(80), None)["some"] == EITHER
