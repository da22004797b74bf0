"""The recorded ops on the paths between some ops and some others."""

import pytest

from modelexport.rewriter.matching.alignment.regions import last_ops, region_between
from tests.helpers.aligned import Aligned, chain

GRAPH = """g (float[8,16] x, float[8,16] other) => (float[8,16] y, float[8,16] z) {
    [early] e = Ceil (other)
    [start] s = Neg (x)
    [one] a = Abs (s)
    [two] b = Exp (a)
    [beside] c = Floor (e)
    [shape] h = Shape (b)
    [many] m = Expand (c, h)
    [end] y = Add (b, m)
    [aside] z = Relu (s)
}"""


def case() -> Aligned:
    return Aligned(GRAPH, GRAPH)


def region(starts: list[str], ends: list[str]) -> set[str]:
    actual = region_between(
        case().graphs.record,
        {case().op(name) for name in starts},
        {case().op(name) for name in ends},
    )
    assert actual is not None
    return {case().op_name(op) for op in actual}


def test_a_region_has_the_ops_on_paths_from_starts_to_ends() -> None:
    """The ends are in it, the starts are not; nor what only stands beside the paths."""
    assert region(["start"], ["end"]) == {"one", "two", "end"}
    assert region(["start"], ["aside"]) == {"aside"}
    assert region(["one"], ["end"]) == {"two", "end"}


def test_a_start_that_is_an_end_is_not_in_the_region() -> None:
    """It is done by another node."""
    assert region(["start", "one"], ["one", "two"]) == {"two"}


def test_without_a_path_all_ops_before_the_ends_are_the_region() -> None:
    """Shapes and constants aside, and nothing that runs before the first start."""
    assert region([], ["end"]) == {"early", "start", "one", "two", "beside", "many", "end"}
    assert region(["aside"], ["end"]) == {"end"}
    assert region(["start"], ["beside"]) == {"beside"}


@pytest.mark.parametrize(("length", "told"), [(96, True), (97, False)])
def test_a_region_of_more_than_96_ops_says_nothing(length: int, told: bool) -> None:
    """Holds MOST_REGION_OPS, in both directions."""
    ops = chain(length, first="h")
    text = f"g (float[8,16] x) => (float[8,16] y) {{ [start] h = Abs (x)\n{ops} }}"
    graphs = Aligned(text, text).graphs
    actual = region_between(graphs.record, {0}, {length})
    assert (actual == set(range(1, length + 1))) is told
    assert (actual is None) is not told
    assert last_ops(graphs.record, {1}) == ({length} if told else set())


def test_the_last_ops_are_those_that_no_op_reads() -> None:
    """Of all that depend on the starts; a start itself is none."""
    graphs = case().graphs
    last = {case().op_name(op) for op in last_ops(graphs.record, {case().op("start")})}
    assert last == {"end", "aside"}
    assert last_ops(graphs.record, {case().op("aside")}) == set()
    assert last_ops(graphs.record, set()) == set()


def test_every_input_of_an_op_is_followed() -> None:
    """An op that reads a start itself also reads it through others, which are in the region."""
    text = """g (float[8,16] x) => (float[8,16] y) {
        [start] s = Neg (x) [one] a = Abs (s) [two] b = Exp (s) [three] c = Ceil (b)
        [end] y = Sum (s, a, b, c)
    }"""
    graphs = Aligned(text, text).graphs
    assert region_between(graphs.record, {0}, {4}) == {1, 2, 3, 4}
    assert region_between(graphs.record, set(), {4}) == {0, 1, 2, 3, 4}


def test_last_ops_that_are_too_many_are_none() -> None:
    """A last op that is near says nothing either, where more than 96 ops are visited."""
    text = f"""g (float[8,16] x) => (float[8,16] y, float[8,16] z) {{
        [start] h = Abs (x)
        {chain(96, first="h")}
        [near] z = Exp (h)
    }}"""
    assert last_ops(Aligned(text, text).graphs.record, {0}) == set()
