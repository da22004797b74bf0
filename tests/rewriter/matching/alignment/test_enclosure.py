"""Nodes that are no recorded op get what their paired neighbours enclose."""

import pytest

from modelexport.rewriter.matching.alignment.enclosure import Enclosed
from modelexport.rewriter.matching.alignment.spans import Span
from tests.helpers.aligned import Aligned, chain, numbers
from tests.helpers.enclosed import enclose, ops

RECORD = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16] b = {1}> {
    [before] h = Neg (x)
    [multiply] m = MatMul (h, w)
    [add] a = Add (m, b)
    [after] y = Abs (a)
}"""
DECOMPOSED = """g (float[8,16] x) => (float[8,16] y) {
    [before] h = Neg (x)
    [one] p = other.One (h)
    [two] q = other.Two (p)
    [after] y = Abs (q)
}"""
ENDS = {"before": "before", "after": "after"}


def test_steps_between_paired_nodes_are_the_ops_between_their_ops() -> None:
    """All of them may be any of the ops that no other node does."""
    case = Aligned(DECOMPOSED, RECORD)
    actual = enclose(case, ENDS)
    assert ops(case, actual["one"]) == ["multiply", "add"]
    assert ops(case, actual["two"]) == ["multiply", "add"]


def test_an_op_that_a_fused_neighbour_does_is_not_enclosed_again() -> None:
    """Its span is closed, so nothing of its ops is left; an open one leaves them."""
    case = Aligned(DECOMPOSED, RECORD)
    span = Span((case.op("after"), case.op("add")), frozenset(), closed=True)
    assert ops(case, enclose(case, ENDS, spans={"after": span})["one"]) == ["multiply"]
    file = DECOMPOSED.replace("Abs (q)", "other.Last (q)")
    case = Aligned(file, RECORD)
    half = Span((case.op("after"),), frozenset(), closed=False)
    actual = enclose(case, ENDS, spans={"after": half})
    assert ops(case, actual["one"]) == ["multiply", "add", "after"]
    half = Span((case.op("after"),), frozenset(), closed=True)
    assert ops(case, enclose(case, ENDS, spans={"after": half})["one"]) == ["multiply", "add"]


@pytest.mark.parametrize("exact", [True, False])
def test_a_node_whose_weight_is_known_parts_those_before_it_from_those_behind(exact: bool) -> None:
    """In a quantised file, too: what it reads is done before it, and it does a step of the op."""
    record = RECORD.replace("[add] a = Add (m, b)", "[mid] k = Exp (m) [add] a = Add (k, b)")
    record = record.replace("[after] y = Abs (a)", "[tail] t = Sin (a) [after] y = Abs (t)")
    file = DECOMPOSED.replace(
        "[two] q = other.Two (p)", "[two] r = other.Two (p) [three] q = other.Three (r)"
    )
    values = {"x": numbers(1), "h": numbers(2)}
    case = Aligned(file, record, file_values=values, record_values=values, rejects_mismatch=exact)
    actual = enclose(case, ENDS, anchored={"two": ("add",)})
    assert ops(case, actual["one"]) == ["multiply", "mid"]
    assert ops(case, actual["three"]) == ["tail"]
    without = Aligned(file, record)
    actual = enclose(without, ENDS, anchored={"two": ("add",)})
    assert ops(without, actual["one"]) == ["multiply", "mid"]
    assert ops(without, actual["three"]) == ["tail"]


def test_a_node_is_the_op_that_computes_what_it_computes() -> None:
    """Of all ops of its region; where two do, both may be it."""
    values = {name: numbers(n) for n, name in enumerate("xhmay")}
    file_values = {"h": values["h"], "p": numbers(8), "q": values["a"]}
    case = Aligned(DECOMPOSED, RECORD, file_values=file_values, record_values=values)
    assert ops(case, enclose(case, ENDS)["two"]) == ["add"]
    assert ops(case, enclose(case, ENDS)["one"]) == ["multiply", "add"]


def test_a_node_that_splits_what_ops_before_it_compute_is_these() -> None:
    """The node before it reads their merged weights; other nodes do all that is behind."""
    record = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16,16] v = {2}> {
        [query] q = MatMul (x, w)
        [key] k = MatMul (x, v)
        [join] y = Add (q, k)
    }"""
    file = """g (float[8,16] x) => (float[8,16] y) <float[16,32] p = {1}> {
        [packed] j = MatMul (x, p)
        [split] q, k = other.Parts (j)
        [join] y = Add (q, k)
    }"""
    values = {name: numbers(n) for n, name in enumerate("xqky")}
    case = Aligned(file, record, file_values=values, record_values=values)
    actual = enclose(case, {"join": "join"}, anchored={"packed": ("query", "key")})
    assert ops(case, actual["split"]) == ["query", "key"]


def test_an_op_whose_weight_another_node_reads_is_left_to_that_node() -> None:
    """As long as another op of the region is free; else a step of it may be what is left."""
    record = RECORD.replace("Abs (a)", "Mul (a, b)").replace("Add (m, b)", "Tanh (m)")
    file = DECOMPOSED.replace("(float[8,16] y) {", "(float[8,16] y) <float[16] b = {1}> {")
    file = file.replace("Abs (q)", "other.Last (q, b)")
    case = Aligned(file, record, weights={"b": ["b"]})
    half = Span((case.op("after"),), frozenset(), closed=False)
    actual = enclose(case, ENDS, spans={"after": half})
    assert ops(case, actual["one"]) == ["multiply", "add"]
    seeds = {"before": "add", "after": "after"}
    assert ops(case, enclose(case, seeds, spans={"after": half})["one"]) == ["after"]


def test_where_neighbours_do_everything_a_node_may_belong_to_either() -> None:
    """It is something between them that the record does not have."""
    file = """g (float[8,16] x) => (float[8,16] y) {
        [before] h = Neg (x) [extra] e = other.Extra (h) [after] y = Abs (e)
    }"""
    record = "g (float[8,16] x) => (float[8,16] y) { [before] h = Neg (x) [after] y = Abs (h) }"
    case = Aligned(file, record)
    assert ops(case, enclose(case, ENDS)["extra"]) == ["before", "after"]


def test_of_the_enclosed_ops_the_one_of_the_operator_is_the_node() -> None:
    """If there is just one of them."""
    case = Aligned(DECOMPOSED.replace("other.One (h)", "Add (h, h)"), RECORD)
    assert ops(case, enclose(case, ENDS)["one"]) == ["add"]
    record = RECORD.replace("MatMul (h, w)", "Add (h, w)")
    case = Aligned(DECOMPOSED.replace("other.One (h)", "Add (h, h)"), record)
    assert ops(case, enclose(case, ENDS)["one"]) == ["multiply", "add"]


def test_of_the_enclosed_ops_those_that_read_its_weights_are_the_node() -> None:
    """Also where its weight was merged of several."""
    text = DECOMPOSED.replace("(float[8,16] y) {", "(float[8,16] y) <float[16] v = {1}> {")
    file = text.replace("other.One (h)", "other.One (h, v)")
    case = Aligned(file, RECORD, weights={"v": ["b"]})
    actual = enclose(case, ENDS)
    assert ops(case, actual["one"]) == ["add"]
    assert ops(case, actual["two"]) == ["multiply", "add"]
    case = Aligned(file, RECORD)
    value = case.file.indexed.value_of("", "v")
    for names, expected in (("wb", ["multiply", "add"]), ("b", ["add"])):
        parts = frozenset(case.record.indexed.value_of("", name) for name in names)
        assert ops(case, enclose(case, ENDS, merged={value: parts})["one"]) == expected


def test_without_a_paired_successor_the_last_ops_end_the_region() -> None:
    """The node computes a result of the model, in another form."""
    file = """g (float[8,16] x) => (float[8,16] y) {
        [before] h = Neg (x) [rest] y = other.Rest (h)
    }"""
    case = Aligned(file, RECORD)
    actual = enclose(case, {"before": "before"})
    assert ops(case, actual["rest"]) == ["multiply", "add", "after"]
    assert enclose(case, {})["rest"] == Enclosed((), "no matched node uses its result")


def test_a_region_that_is_too_large_is_no_answer() -> None:
    """The reason says so."""
    ops_between = chain(98, first="h")
    long = f"g (float[8,16] x) => (float[8,16] y) {{ [before] h = Abs (x)\n{ops_between} }}"
    file = """g (float[8,16] x) => (float[8,16] y) {
        [before] h = Abs (x) [rest] r = other.Rest (h) [n97] y = other.End (r)
    }"""
    case = Aligned(file, long)
    seeds = {"before": "before", "n97": "n97"}
    reason = "its matched neighbours enclose too much of the model"
    assert enclose(case, seeds)["rest"] == Enclosed((), reason)


@pytest.mark.parametrize(("length", "is_found"), [(48, True), (49, False)])
def test_paired_neighbours_are_looked_for_among_48_nodes(length: int, is_found: bool) -> None:
    """Holds MOST_NEIGHBOURHOOD_NODES. Beyond them, the last ops of the model end the region."""
    file = f"""g (float[8,16] x) => (float[8,16] y) {{
        [before] h = Abs (x)
        {chain(length, first="h", last="k")}
        [after] a = Exp (k)
        [end] y = other.End (a)
    }}"""
    record = """g (float[8,16] x) => (float[8,16] y) {
        [before] h = Abs (x) [inner] k = Ceil (h) [after] a = Exp (k) [end] y = Relu (a)
    }"""
    case = Aligned(file, record)
    assert ops(case, enclose(case, ENDS)["n0"]) == (["inner"] if is_found else ["inner", "end"])


DEAD = """g (float[8,16] x) => (float[8,16] y) {
    [before] h = Neg (x)
    [one] p = other.One (h)
    [side] s = other.Side (p)
    [further] t = other.Further (s)
    [lost] u = other.Lost (h)
    [after] y = Abs (p)
}"""


def test_a_node_whose_result_is_not_used_is_what_its_predecessors_are() -> None:
    """All of them must be known; a paired one is not a step."""
    case = Aligned(DEAD, RECORD)
    actual = enclose(case, ENDS)
    assert ops(case, actual["side"]) == ["multiply", "add"]
    assert ops(case, actual["further"]) == ["multiply", "add"]
    reason = "no output needs its result, so nothing tells where it belongs"
    assert actual["lost"] == Enclosed((), reason)
    mixed = DEAD.replace("other.Side (p)", "other.Side (p, h)")
    assert enclose(Aligned(mixed, RECORD), ENDS)["side"] == Enclosed((), reason)


def test_a_node_may_be_there_twice() -> None:
    """The copy, whose result is not used, is the op of its operator that reads the same."""
    file = DEAD.replace("other.Lost (h)", "MatMul (h, h)")
    case = Aligned(file, RECORD)
    assert ops(case, enclose(case, ENDS)["lost"]) == ["multiply"]
    twice = RECORD.replace("[after]", "[again] n = MatMul (h, b) [after]")
    actual = enclose(Aligned(file, twice), ENDS)["lost"]
    assert actual.ops == ()


def test_predecessors_that_depend_on_no_input_do_not_count() -> None:
    """A constant is no step of anything."""
    file = DEAD.replace("other.Side (p)", "other.Side (p, k)").replace(
        "[before]", "[constant] k = Constant <value = float {1.0}> ()\n[before]"
    )
    case = Aligned(file, RECORD)
    assert ops(case, enclose(case, ENDS)["side"]) == ["multiply", "add"]


def test_an_op_that_another_node_does_is_not_either_side() -> None:
    """Of a region that is done, a node belongs to the ops where it begins and ends."""
    file = """g (float[8,16] x) => (float[8,16] y) {
        [before] h = Neg (x) [extra] e = other.Extra (h) [middle] m = Exp (h)
        [after] y = Add (e, m)
    }"""
    record = """g (float[8,16] x) => (float[8,16] y) {
        [before] h = Neg (x) [middle] m = Exp (h) [after] y = Add (h, m)
    }"""
    case = Aligned(file, record)
    actual = enclose(case, {**ENDS, "middle": "middle"})
    assert ops(case, actual["extra"]) == ["before", "after"]


def test_every_input_of_a_node_is_followed() -> None:
    """Also those behind one that the node reads twice."""
    file = """g (float[8,16] x) => (float[8,16] y) {
        [before] h = Neg (x) [side] k = Exp (x) [one] p = other.One (h)
        [two] q = other.Two (p, p, k) [after] y = Abs (q)
    }"""
    record = """g (float[8,16] x) => (float[8,16] y) {
        [before] h = Neg (x) [side] k = Exp (x) [ceil] i = Ceil (k) [floor] m = Floor (h)
        [sum] s = Add (m, i) [after] y = Abs (s)
    }"""
    case = Aligned(file, record)
    actual = enclose(case, {**ENDS, "side": "side"})
    assert ops(case, actual["two"]) == ["ceil", "floor", "sum"]


def test_two_ops_of_its_operator_are_not_told_from_the_third() -> None:
    """The node may be any of them."""
    record = RECORD.replace("MatMul (h, w)", "Add (h, w)").replace("Abs (a)", "Abs (k)")
    record = record.replace("[after]", "[turn] k = Tanh (a) [after]")
    case = Aligned(DECOMPOSED.replace("other.One (h)", "Add (h, h)"), record)
    assert ops(case, enclose(case, ENDS)["one"]) == ["multiply", "add", "turn"]
