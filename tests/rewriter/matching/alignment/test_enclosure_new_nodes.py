"""Nodes of a related model that stand for no recorded op, and what is around them."""

import numpy as np

from modelexport.hierarchy.fingerprints import Array
from modelexport.rewriter.matching.alignment.enclosure import Enclosed
from tests.helpers.aligned import Aligned, numbers
from tests.helpers.enclosed import enclose, ops

NOT_RECORDED = "the recorded model has no such node"
WEIGHTS = "float[16,16] w = {1}, float[16] b = {1}"
RECORD = f"""g (float[8,16] x) => (float[8,16] y) <{WEIGHTS}> {{
    [before] h = Neg (x)
    [multiply] m = MatMul (h, w)
    [constant] c = Constant <value = float {{1.0}}> ()
    [add] a = Sum (m, h, c)
    [after] y = Abs (a)
}}"""
FILE = f"""g (float[8,16] x) => (float[8,16] y) <{WEIGHTS}, float[16,16] v = {{2}}> {{
    [before] h = Neg (x)
    [multiply] m = MatMul (h, w)
    [adapter] d = MatMul (h, v)
    [join] j = Add (m, d)
    [scale] k = Sin (j)
    [constant] c = Constant <value = float {{1.0}}> ()
    [add] a = Sum (k, h, c)
    [after] y = Abs (a)
}}"""
PAIRS = {name: name for name in ("before", "multiply", "add", "after")}


def between(case: Aligned, enclosed: Enclosed) -> set[str]:
    """The recorded ops between which a new node stands."""
    assert enclosed.reason == NOT_RECORDED
    assert enclosed.ops == ()
    return {case.op_name(op) for op in enclosed.between}


def test_a_new_node_stands_before_the_op_that_no_longer_reads_what_it_read() -> None:
    """So do the nodes that join its result, and what follows; constants are read by any op."""
    case = Aligned(FILE, RECORD)
    enclosed = enclose(case, PAIRS, new={"adapter"})
    for node in ("adapter", "join", "scale"):
        assert between(case, enclosed[node]) == {"multiply", "add"}
    assert not enclose(case, PAIRS)["join"].reason


def test_a_new_node_that_two_nodes_read_stands_before_both() -> None:
    """The ops of all of them are told."""
    file = FILE.replace("Abs (a)", "Sum (a, j)")
    record = RECORD.replace("Abs (a)", "Sum (a, m)")
    case = Aligned(file, record)
    enclosed = enclose(case, PAIRS, new={"adapter"})
    assert between(case, enclosed["join"]) == {"multiply", "add", "after"}


def test_a_node_with_a_recorded_weight_of_its_own_is_not_new() -> None:
    """Whatever it reads besides; a weight that the record does not have tells nothing."""
    file = FILE.replace("Add (m, d)", "Gemm (m, b, d)")
    case = Aligned(file, RECORD.replace("Sum (m, h, c)", "Sum (m, h, b)"), weights={"b": ["b"]})
    assert ops(case, enclose(case, PAIRS, new={"adapter"})["join"]) == ["add"]


CUT = f"""g (float[8,16] x) => (float[8,16] y) <{WEIGHTS}> {{
    [before] h = Neg (x)
    [multiply] m = MatMul (h, w)
    [add] a = Add (m, b)
    [after] y = Abs (a)
}}"""
VALUES = {name: numbers(n) for n, name in enumerate("xhmay")}


def diverged(end: str, *, result: Array | None = None, recorded: Array | None = None) -> list[str]:
    """The ops that enclose the last node of a file which computes something else from `one` on.

    Args:
        end: The node, which reads `p`.
        result: What it computes, if that is not something new.
        recorded: What the recorded op `add` computed, if that is something else.
    """
    file = f"""g (float[8,16] x) => (float[8,16] y) <{WEIGHTS}> {{
        [before] h = Neg (x)
        [one] p = other.One (h)
        {end}
    }}"""
    new = {"p": numbers(11), "y": numbers(12) if result is None else result}
    case = Aligned(
        file,
        CUT,
        weights={"b": ["b"]},
        file_values={"x": VALUES["x"], "h": VALUES["h"]} | new,
        record_values=VALUES | ({} if recorded is None else {"a": recorded}),
    )
    enclosed = enclose(case, {"before": "before", "one": "multiply"}, related=True)["end"]
    assert enclosed.reason == ("" if enclosed.ops else NOT_RECORDED)
    return [case.op_name(op) for op in enclosed.ops]


def test_where_a_related_model_has_diverged_what_is_left_of_a_region_is_a_guess() -> None:
    """Where nothing paired follows, the node is new."""
    assert diverged("[end] y = other.End (p)") == []


def test_weights_tell_what_a_diverged_node_is() -> None:
    """It was trained further, so that its values are others."""
    assert diverged("[end] y = other.End (p, b)") == ["add"]


def test_a_value_that_agrees_tells_what_a_diverged_node_is() -> None:
    """Also one of equal numbers, if just one op of the region computes it."""
    zeros = np.zeros((8, 16), np.float32)
    assert diverged("[end] y = other.End (p)", result=zeros, recorded=zeros) == ["add"]


def test_its_operator_tells_what_a_diverged_node_is_if_the_op_reads_no_weight() -> None:
    """Else the node would read that weight."""
    assert diverged("[end] y = Abs (p)") == ["after"]
    assert diverged("[end] y = Add (p, p)") == []


def test_what_other_nodes_do_completely_is_around_a_diverged_node() -> None:
    """It was put between them; where something is left to do, it does that."""
    record = "g (float[8,16] x) => (float[8,16] y) { [before] h = Neg (x) [after] y = Abs (h) }"
    file = """g (float[8,16] x) => (float[8,16] y) {
        [before] h = Neg (x) [extra] e = other.Extra (h) [after] y = Abs (e)
    }"""
    recorded = {name: VALUES[name] for name in "xhy"}
    values = {**recorded, "e": numbers(11), "y": numbers(12)}
    case = Aligned(file, record, file_values=values, record_values=recorded)
    seeds = {"before": "before", "after": "after"}
    enclosed = enclose(case, seeds, related=True)["extra"]
    assert between(case, enclosed) == {"before", "after"}
    left = record.replace("Abs (h)", "Abs (k)").replace("[after]", "[middle] k = Sin (h) [after]")
    case = Aligned(file, left, file_values=values, record_values={**recorded, "k": numbers(13)})
    assert ops(case, enclose(case, seeds, related=True)["extra"]) == ["middle"]
