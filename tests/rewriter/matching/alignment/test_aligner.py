"""Growth from seeds: what is paired, in which order, and what stays open."""

import pytest

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.rewriter.matching.alignment.aligner import Aligner
from modelexport.rewriter.matching.alignment.pairs import Pairs
from tests.helpers.aligned import Aligned, chain, numbers

Distances = dict[int, dict[int, float]]


def grow(
    case: Aligned,
    seeds: dict[str, str],
    candidates: Distances | None = None,
    nearby: Distances | None = None,
    only: set[int] | None = None,
) -> tuple[dict[str, str], Aligner, Pairs]:
    """The pairs by name after growing from some seeds."""
    pairs = case.pairs(seeds)
    aligner = Aligner(case.graphs, pairs, candidates, nearby, only)
    aligner.grow()
    return case.named(pairs), aligner, pairs


TREE = """g (float[8,16] x) => (float[8,16] y) {
    [root] r = Neg (x)
    [left] a = Abs (r)
    [right] b = Exp (r)
    [join] c = Add (a, b)
    [last] y = Relu (c)
}"""
ALL = {name: name for name in ("root", "left", "right", "join", "last")}


@pytest.mark.parametrize("seed", ["root", "left", "last"])
def test_one_seed_grows_along_all_edges(seed: str) -> None:
    """Backwards and forwards, to neighbours of the same operator."""
    pairs, _, actual = grow(Aligned(TREE, TREE), {seed: seed})
    assert pairs == ALL
    kinds = {kind for node, kind in actual.evidence.items()} - {EvidenceKind.NAMES}
    assert kinds == {EvidenceKind.STRUCTURE}


def test_inputs_of_equal_names_are_a_seed() -> None:
    """The nodes that read them grow without any pair."""
    assert grow(Aligned(TREE, TREE), {})[0] == ALL


def test_a_node_of_another_operator_is_not_paired_by_its_place() -> None:
    """And nothing grows across it."""
    file = TREE.replace("Abs", "Ceil").replace("Exp", "Floor")
    assert grow(Aligned(file, TREE), {"root": "root"})[0] == {"root": "root"}


def test_values_veto_a_pair() -> None:
    """The place fits, and the operator, but it computes something else."""
    values = {"r": numbers(1), "a": numbers(2)}
    case = Aligned(TREE, TREE, file_values=values, record_values={**values, "a": numbers(3)})
    assert "left" not in grow(case, {"root": "root"})[0]


EAGER = TREE.replace("Neg", "aten.neg").replace("Abs", "aten.abs").replace("Exp", "aten.exp")


@pytest.mark.parametrize(
    ("value", "paired"),
    [(numbers(2), True), (numbers(3), False), (numbers(2).T, False), (None, False)],
)
def test_with_torch_operators_values_and_shapes_must_agree(value: object, paired: bool) -> None:
    """Their names do not compare, so a place alone is not enough."""
    known = {"r": numbers(1)}
    file_values = known if value is None else {**known, "a": value}
    case = Aligned(
        TREE,
        EAGER,
        file_values=file_values,  # type: ignore[arg-type]
        record_values={**known, "a": numbers(2)},
        torch_op_types=True,
    )
    assert ("left" in grow(case, {"root": "root"})[0]) is paired


COPY = """g (float[8,16] x) => (float[8,16] y, float[8,16] z) {
    [root] r = Neg (x)
    [copy] y = Abs (r)
    [work] a = Abs (r)
    [all] z = other.Many (a)
}"""


def copied() -> Aligned:
    """A node that does an op scores 1.8; a copy of it, earlier in the file, scores 1."""
    record = f"""g (float[8,16] x) => (float[8,16] y) {{
        [root] r = Neg (x) [work] a = Abs (r)
        {chain(5, first="a")}
    }}"""
    values = {"a": numbers(1)}
    return Aligned(COPY, record, file_values=values, record_values=values)


def test_strong_pairs_come_before_weak_ones() -> None:
    """Holds STRONG_SCORE: a pair with one neighbour waits until the others are found."""
    pairs, _, _ = grow(copied(), {"root": "root", "all": "n4"})
    assert pairs == {"root": "root", "work": "work", "all": "n4"}


def test_weak_pairs_are_made_when_no_strong_one_is_left() -> None:
    """Without the neighbour that makes the difference both score equally, so the first gets it."""
    pairs, _, _ = grow(copied(), {"root": "root"})
    assert pairs == {"root": "root", "copy": "work"}


TWINS = """g (float[8,16] x, float[8,16] z) => (float[8,16] y) {
    [root] r = Neg (x)
    [one] a = Abs (r)
    [two] b = Abs (r)
    [divide] y = Div (a, b)
}"""


def test_equal_candidates_stay_ambiguous() -> None:
    """Nothing tells two nodes apart that read the same and are read together."""
    case = Aligned(TWINS, TWINS)
    both = {case.op("one"): 1e-6, case.op("two"): 2e-6}
    pairs, aligner, _ = grow(case, {"root": "root"}, {case.node("one"): both})
    assert "one" not in pairs
    scored = aligner.ambiguous[case.node("one")]
    assert [(case.op_name(s.op), s.score, s.distance) for s in scored] == [
        ("one", 1.0, 1e-6),
        ("two", 1.0, 2e-6),
    ]
    assert aligner.considered[case.node("one")] == scored


def test_of_equal_candidates_the_one_that_no_node_does_is_taken() -> None:
    """Several nodes may do one op, but it is less likely."""
    case = Aligned(TWINS, TWINS)
    both = {case.op("one"): 1e-6, case.op("two"): 1e-6}
    pairs, aligner, actual = grow(case, {"root": "root", "two": "two"}, {case.node("one"): both})
    assert pairs["one"] == "one"
    assert actual.evidence[case.node("one")] == EvidenceKind.VALUES
    assert not aligner.ambiguous


def test_a_node_with_candidates_can_be_no_other_op() -> None:
    """Also where its place and its operator say otherwise; equal ones do not matter then."""
    case = Aligned(TREE, TREE)
    pairs, _, actual = grow(case, {"root": "root"}, case.by_op("left", {"right": 1e-6}))
    assert pairs["left"] == "right"
    assert actual.evidence[case.node("left")] == EvidenceKind.VALUES


def test_neighbours_decide_between_equal_candidates() -> None:
    """The node waits until they are paired themselves."""
    text = """g (float[8,16] x) => (float[8,16] y) {
        [root] r = Neg (x) [one] a = Abs (r) [two] b = Abs (r)
        [after] c = Exp (a) [end] y = Sub (c, b)
    }"""
    case = Aligned(text, text)
    both = {case.op("one"): 1e-6, case.op("two"): 1e-6}
    candidates = {case.node("one"): both, case.node("two"): both}
    pairs, aligner, _ = grow(case, {"root": "root", "end": "end"}, candidates)
    assert pairs == {name: name for name in ("root", "one", "two", "after", "end")}
    assert not aligner.ambiguous


def test_an_op_is_left_to_a_neighbour_of_its_operator() -> None:
    """Unless that neighbour is known to be another op."""
    file = """g (float[8,16] x) => (float[8,16] y) {
        [root] r = Neg (x) [fused] a = other.Fused (r) [absolute] y = Abs (a)
    }"""
    record = """g (float[8,16] x, float[8,16] z) => (float[8,16] y) {
        [root] r = Neg (x) [ceil] b = Ceil (r) [absolute] y = Abs (r) [far] f = Abs (z)
    }"""
    case = Aligned(file, record)
    candidates = case.by_op("fused", {"absolute": 1e-6, "ceil": 1e-6})
    assert grow(case, {"root": "root"}, candidates)[0]["fused"] == "ceil"
    elsewhere = {"root": "root", "absolute": "far"}
    assert "fused" not in grow(case, elsewhere, candidates)[0]


def test_of_near_ops_the_node_is_the_one_that_it_completes() -> None:
    """A rescaling of a quantised product is as near to the product as to what comes after it."""
    file = """g (float[8,16] x) => (float[8,16] y) {
        [root] r = Neg (x) [product] a = other.Product (r) [rescale] y = other.Rescale (a)
    }"""
    record = """g (float[8,16] x) => (float[8,16] y) {
        [root] r = Neg (x) [multiply] b = Abs (r) [next] y = Exp (b)
    }"""
    result = numbers(3)
    case = Aligned(
        file,
        record,
        file_values={"a": 0.7 * result, "y": result},
        record_values={"b": result},
        quantised=True,
    )
    nearby = case.by_op("rescale", {"multiply": 0.01, "next": 0.01})
    seeds = {"root": "root", "product": "multiply"}
    assert grow(case, seeds, nearby=nearby)[0]["rescale"] == "multiply"
    case = Aligned(file, record)
    assert grow(case, seeds, nearby=nearby)[0]["rescale"] == "next"  # which no other node does


def test_near_ops_are_weighed_where_they_do_not_stand_beside_the_neighbours() -> None:
    """Their distance is kept for the report."""
    case = Aligned(TREE, TREE)
    _, aligner, _ = grow(case, {"root": "root"}, nearby=case.by_op("left", {"last": 0.2}))
    scored = {case.op_name(s.op): s.distance for s in aligner.considered[case.node("left")]}
    assert scored == {"left": None, "last": 0.2}


def test_only_the_nodes_that_may_be_paired_are() -> None:
    """Also where others stand between them and the seeds."""
    case = Aligned(TREE, TREE)
    only = {case.node("left"), case.node("last")}
    assert grow(case, {"root": "root"}, only=only)[0] == {"root": "root", "left": "left"}
    only = {case.node("root"), case.node("left")}
    assert grow(case, {}, only=only)[0] == {"root": "root", "left": "left"}


def test_a_node_is_not_paired_twice() -> None:
    """A seed stays, whatever its neighbours say."""
    pairs, _, _ = grow(Aligned(TREE, TREE), {"root": "root", "left": "right"})
    assert pairs["left"] == "right"


def test_growth_goes_on_after_more_pairs_were_added() -> None:
    """Between two rounds, nodes inside subgraphs are paired, for example."""
    case = Aligned(TREE, TREE.replace("Abs", "Ceil").replace("Add", "Sub"))
    pairs = case.pairs({"root": "root"})
    aligner = Aligner(case.graphs, pairs)
    aligner.grow()
    assert case.named(pairs) == {"root": "root", "right": "right"}
    pairs.add_pair(case.node("join"), case.op("join"), EvidenceKind.STRUCTURE)
    aligner.grow()
    assert case.named(pairs) == {name: name for name in ("root", "right", "join", "last")}


def test_an_op_of_the_nodes_operator_is_not_left_to_a_neighbour() -> None:
    """Of two equal candidates, only the one of the neighbour's operator is."""
    file = """g (float[8,16] x) => (float[8,16] y) {
        [root] r = Neg (x) [absolute] a = Abs (r) [ceil] y = Ceil (a)
    }"""
    record = """g (float[8,16] x) => (float[8,16] y, float[8,16] z) {
        [root] r = Neg (x) [absolute] y = Abs (r) [ceil] z = Ceil (r)
    }"""
    case = Aligned(file, record)
    candidates = case.by_op("absolute", {"absolute": 1e-6, "ceil": 1e-6})
    assert grow(case, {"root": "root"}, candidates)[0]["absolute"] == "absolute"


def test_a_score_of_one_and_a_quarter_is_no_strong_one() -> None:
    """Holds STRONG_SCORE: only what is above it is paired at once."""
    file = """g (float[8,16] x) => (float[8,16] y, float[8,16] z) {
        [root] r = Neg (x) [copy] y = other.Fused (r) [work] a = other.Fused (r)
        [end] z = Relu (a)
    }"""
    record = f"""g (float[8,16] x) => (float[8,16] y) {{
        [root] r = Abs (x) {chain(6, first="r", last="a")} [end] y = Relu (a)
    }}"""
    case = Aligned(file, record)
    nearby = {**case.by_op("copy", {"n5": 0.1}), **case.by_op("work", {"n5": 0.1})}
    _, aligner, pairs = grow(case, {"root": "root", "end": "end"}, nearby=nearby)
    assert aligner.considered[case.node("copy")][0].score == 1.25
    assert [case.node_name(node) for node in pairs.ops] == ["root", "end", "work", "copy"]


def test_ambiguous_nodes_are_told_where_weak_pairs_come_to_nothing() -> None:
    """Growth ends with a node that waits for an op which another node has got."""
    file = COPY.replace("[all]", "[one] p = Exp (r) [all]")
    record = f"""g (float[8,16] x) => (float[8,16] y) {{
        [root] r = Neg (x) [work] a = Abs (r) [one] b = Exp (r) [two] c = Exp (r)
        {chain(5, first="a")}
    }}"""
    values = {"a": numbers(1)}
    case = Aligned(file, record, file_values=values, record_values=values)
    candidates = case.by_op("one", {"one": 1e-6, "two": 1e-6})
    pairs, aligner, _ = grow(case, {"root": "root", "all": "n4"}, candidates)
    assert pairs == {"root": "root", "work": "work", "all": "n4"}
    assert aligner.ambiguous.keys() == {case.node("one")}


@pytest.mark.parametrize("kind", ["candidates", "nearby"])
def test_nodes_whose_values_are_recorded_grow_without_a_neighbour(kind: str) -> None:
    """Their weights tell which of the ops they are."""
    file = """g (float[8,16] z) => (float[8,16] y) <float[16,16] w = {1}> {
        [root] r = Ceil (z) [node] a = MatMul (r, w) [last] y = Floor (a)
    }"""
    record = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}> {
        [root] r = Neg (x) [node] a = MatMul (r, w) [last] y = Relu (a)
    }"""
    case = Aligned(file, record, weights={"w": ["w"]})
    distances = case.by_op("node", {"node": 1e-6, "last": 1e-6})
    pairs, _, _ = grow(case, {}, **{kind: distances})
    assert pairs == {"node": "node"}
