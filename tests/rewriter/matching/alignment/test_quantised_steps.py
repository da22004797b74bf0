"""Quantised files do an op in steps, and leave clipping to a scale."""

import numpy as np
import pytest

from modelexport.rewriter.matching.alignment.spans import Span
from tests.helpers.aligned import Aligned, numbers
from tests.helpers.enclosed import enclose, ops
from tests.helpers.node_work import work

RECORD = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16] b = {1}> {
    [before] h = Neg (x)
    [wave] s = Sin (h)
    [product] m = MatMul (s, w)
    [round] r = Round (m)
    [after] y = Abs (r)
}"""
DYNAMIC = """g (float[8,16] x) => (float[8,16] y) <int8[16,16] w = {1}, float k = {2}> {
    [before] h = Neg (x)
    [first] s = other.First (h)
    [quantise] q, scale, zero = DynamicQuantizeLinear (s)
    [scales] c = Mul (scale, k)
    [integers] i = MatMulInteger (q, w, zero)
    [cast] f = Cast <to = 1> (i)
    [rescale] m = Mul (f, c)
    [last] r = other.Last (m)
    [after] y = Abs (r)
}"""
ENDS = {"before": "before", "after": "after"}


@pytest.mark.parametrize("paired", [True, False])
def test_what_scales_sums_of_codes_does_a_step_of_their_op(paired: bool) -> None:
    """The sums are paired with the op, or only read its weight."""
    case = Aligned(DYNAMIC, RECORD, weights={"w": ["w"]})
    step = {"integers": Span((case.op("product"),), frozenset(), closed=False)}
    if paired:
        enclosed = enclose(case, ENDS | {"integers": "product"}, spans=step)
    else:
        enclosed = enclose(case, ENDS, anchored={"integers": ("product",)})
    assert ops(case, enclosed["rescale"]) == ["product"]
    real = Aligned(DYNAMIC.replace("MatMulInteger", "other.Dense"), RECORD)
    enclosed = enclose(real, ENDS, anchored={"integers": ("product",)})
    assert ops(real, enclosed["rescale"]) == ["round"]


def test_scales_lead_nowhere() -> None:
    """What depends on a scale alone is auxiliary, and no neighbour is looked for behind it."""
    case = Aligned(DYNAMIC, RECORD)
    assert case.graphs.is_auxiliary(case.node("scales"))
    assert not case.graphs.is_auxiliary(case.node("rescale"))
    file = DYNAMIC.replace("MatMulInteger", "other.Dense").replace("Mul (f, c)", "other.Mul (f, c)")
    case = Aligned(file, RECORD)
    seeds = ENDS | {"first": "wave", "integers": "product", "last": "round"}
    assert ops(case, enclose(case, seeds)["rescale"]) == ["product", "round"]


def test_a_step_that_reads_a_weight_stands_between_what_its_op_reads_and_the_op() -> None:
    """Behind it the op is still to be done; before it only what the op reads."""
    file = DYNAMIC.replace("MatMulInteger (q, w, zero)", "other.Dense (s, w)")
    values = {"x": numbers(1), "h": numbers(2)}
    case = Aligned(
        file,
        RECORD.replace("[round] r = Round (m)", "[round] r = Add (m, b)"),
        weights={"w": ["w"]},
        file_values=values,
        record_values=values,
        quantised=True,
        rejects_mismatch=False,
    )
    step = {"integers": Span((case.op("product"),), frozenset(), closed=False)}
    seeds = ENDS | {"integers": "product", "last": "round"}
    enclosed = enclose(case, seeds, spans=step)
    assert ops(case, enclosed["first"]) == ["wave"]
    assert ops(case, enclosed["rescale"]) == ["product"]
    enclosed = enclose(case, seeds)  # a node with the operator of the op does all of it
    assert ops(case, enclosed["rescale"]) == ["product", "round"]


def test_between_two_ops_a_node_is_of_the_one_of_its_operator() -> None:
    """Other nodes do both; an optimiser or another exporter divided one of them."""
    record = "g (float[8,16] x) => (float[8,16] y) { [one] h = Sin (x) [two] y = Abs (h) }"
    file = """g (float[8,16] x) => (float[8,16] y) {
        [one] h = Sin (x) [between] k = Sin (h) [two] y = Abs (k)
    }"""
    seeds = {"one": "one", "two": "two"}
    case = Aligned(file, record)
    assert ops(case, enclose(case, seeds)["between"]) == ["one"]
    case = Aligned(file.replace("k = Sin", "k = other.Some"), record)
    assert ops(case, enclose(case, seeds)["between"]) == ["one", "two"]


@pytest.mark.parametrize(("noise", "expected"), [(0.01, ["wave"]), (2.0, ["wave", "product"])])
def test_in_a_quantised_file_the_op_whose_result_a_node_has_is_the_node(
    noise: float, expected: list[str]
) -> None:
    """Of the ops that are open, if it is near to that one alone."""
    record = RECORD.replace("[round] r = Round (m)", "").replace("Abs (r)", "Abs (m)")
    file = """g (float[8,16] x) => (float[8,16] y) {
        [before] h = Neg (x) [some] s = other.Some (h) [rest] r = other.Rest (s) [after] y = Abs (r)
    }"""
    recorded = {name: numbers(n) for n, name in enumerate("xhsmy")}
    values = {"x": recorded["x"], "h": recorded["h"], "s": recorded["s"] + noise * numbers(77)}
    case = Aligned(
        file,
        record,
        file_values=values,
        record_values=recorded,
        quantised=True,
        rejects_mismatch=False,
    )
    assert ops(case, enclose(case, ENDS)["some"]) == expected


def test_a_node_that_splits_packed_results_does_the_ops_that_were_packed() -> None:
    """Where values do not tell, the weights of the node before it do."""
    record = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16,16] v = {2}> {
        [query] q = MatMul (x, w)
        [key] k = MatMul (x, v)
        [turn] t = Sin (q)
        [join] y = Add (t, k)
    }"""
    file = """g (float[8,16] x) => (float[8,16] y) <float[16,32] p = {1}> {
        [packed] j = MatMul (x, p)
        [split] q, k = Split (j)
        [join] y = other.Join (q, k)
    }"""
    case = Aligned(file, record)
    enclosed = enclose(case, {"join": "join"}, anchored={"packed": ("query", "key")})
    assert ops(case, enclosed["split"]) == ["query", "key"]
    enclosed = enclose(case, {"join": "join"}, anchored={"packed": ("query",)})
    assert ops(case, enclosed["split"]) != ["query"]
    assert ops(case, enclose(case, {"join": "join"})["split"]) != ["query", "key"]
    other = Aligned(file.replace("Split", "other.Parts"), record)
    enclosed = enclose(other, {"join": "join"}, anchored={"packed": ("query", "key")})
    assert ops(other, enclosed["split"]) == ["turn"]
    values = {name: numbers(n) for n, name in enumerate("xqkty")}
    exact = Aligned(file, record, file_values={"x": values["x"]}, record_values=values)
    enclosed = enclose(exact, {"join": "join"}, anchored={"packed": ("query", "key")})
    assert ops(exact, enclosed["split"]) == ["turn"]


CLIPPED = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}> {
    [product] m = MatMul (x, w)
    [clip] r = Relu (m)
    [after] y = Sin (r)
}"""


@pytest.mark.parametrize("operator", ["MatMul", "QLinearMatMul"])
def test_clipping_that_no_node_does_goes_with_the_node_before_it(operator: str) -> None:
    """A scale without negative numbers clips; another operator is done by its reader."""
    file = f"""g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {{1}}> {{
        [product] r = {operator} (x, w)
        [after] y = Sin (r)
    }}"""
    seeds = {"product": "product", "after": "after"}
    assert work(Aligned(file, CLIPPED), seeds) == {
        "product": {"product", "clip"},
        "after": {"after"},
    }
    other = CLIPPED.replace("Relu", "Tanh")
    assert work(Aligned(file, other), seeds) == {"product": {"product"}, "after": {"clip", "after"}}


def test_clipping_is_left_to_the_node_that_does_it() -> None:
    """That node, the last step of the op, and not a node whose very result is read elsewhere."""
    seeds = {"product": "product", "clip": "clip", "after": "after"}
    assert work(Aligned(CLIPPED, CLIPPED), seeds)["product"] == {"product"}
    steps = CLIPPED.replace("[clip] r = Relu (m)", "[scale] r = Mul (m, m)")
    actual = work(
        Aligned(steps, CLIPPED), {"product": "product", "scale": "product", "after": "after"}
    )
    assert actual["product"] == {"product"}
    twice = CLIPPED.replace("Sin (r)", "Sum (r, m)")
    file = twice.replace("[clip] r = Relu (m)", "").replace("Sum (r, m)", "Sum (m, m)")
    assert (
        "clip"
        not in work(Aligned(file, twice), seeds={"product": "product", "after": "after"})["product"]
    )


def test_values_tell_that_a_node_returns_what_is_not_clipped() -> None:
    """Where they are exact."""
    file = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}> {
        [product] m = MatMul (x, w)
        [after] y = other.Both (m)
    }"""
    product = numbers(2)
    recorded = {"x": numbers(1), "m": product, "r": np.maximum(product, 0), "y": numbers(4)}
    values = {name: recorded[name] for name in "xmy"}
    case = Aligned(file, CLIPPED, file_values=values, record_values=recorded)
    seeds = {"product": "product", "after": "after"}
    assert work(case, seeds) == {"product": {"product"}, "after": {"clip", "after"}}


def test_what_scales_sums_of_an_open_node_is_of_the_same_op() -> None:
    """Its weight tells the op of the node with the sums, which is paired with none."""
    case = Aligned(DYNAMIC, RECORD, weights={"w": ["w"]})
    assert ops(case, enclose(case, ENDS)["rescale"]) == ["product"]
    second = DYNAMIC.replace("Mul (f, c)", "Mul (c, f)")
    case = Aligned(second, RECORD, weights={"w": ["w"]})
    assert ops(case, enclose(case, ENDS)["rescale"]) == ["product"]


def test_before_a_step_that_reads_a_weight_its_op_is_not_to_be_done() -> None:
    """Only what the op reads is, also where another node reads the weight of that."""
    record = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16] b = {1}> {
        [before] h = Neg (x) [product] m = MatMul (h, w) [add] a = Add (m, b) [after] y = Abs (a)
    }"""
    file = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16] b = {1}> {
        [before] h = Neg (x)
        [aside] s = other.Aside (x, w)
        [one] p = other.One (h)
        [two] q = other.Two (p, s, b)
        [after] y = Abs (q)
    }"""
    case = Aligned(file, record)
    enclosed = enclose(case, ENDS, anchored={"aside": ("product",), "two": ("add",)})
    assert ops(case, enclosed["one"]) == ["product"]


def test_clipping_goes_with_a_node_whose_values_are_not_known() -> None:
    """Exact values tell nothing about it."""
    file = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}> {
        [product] r = MatMul (x, w)
        [after] y = Sin (r)
    }"""
    values = {"x": numbers(1), "y": numbers(4)}
    case = Aligned(file, CLIPPED, file_values=values, record_values=values)
    seeds = {"product": "product", "after": "after"}
    assert work(case, seeds)["product"] == {"product", "clip"}
