"""Pairs that evidence finds without neighbours, and those that are found between growing."""

import pytest

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.record import Op
from modelexport.rewriter.matching.alignment.pairs import Pairs
from modelexport.rewriter.matching.alignment.seeds import Seeder, find_nearby_ops
from tests.helpers.aligned import Aligned, numbers
from tests.helpers.handmade import record_of

GRAPH = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16] b = {1}> {
    [first] h = MatMul (x, w)
    [second] a = Add (h, b)
    [third] y = Relu (a)
}"""
FUSED = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16] b = {1}> {
    [gemm] a = other.Gemm (x, w, b)
    [third] y = Relu (a)
}"""
SAME = {"w": ["w"], "b": ["b"]}


def seeder(case: Aligned) -> tuple[Seeder, Pairs]:
    """A seeder that adds to empty pairs."""
    pairs = Pairs()
    return Seeder(case.graphs, pairs), pairs


def values_of(case: Aligned, names: str) -> set[int]:
    """Some values of the file, whose names are separated by spaces."""
    return {case.file.indexed.value_of("", name) for name in names.split()}


def recorded_ops(case: Aligned) -> tuple[Op, ...]:
    """The ops of a record of the recorded graph."""
    return record_of(case.record.model, {"": "Net"}, [""] * len(case.record)).ops


def kinds(pairs: Pairs) -> set[str]:
    return {pairs.evidence[node].value for node in pairs.ops}


def test_equal_names_are_pairs_unless_values_differ() -> None:
    """Those whose values differ are returned, with the op that was refused."""
    values = {"h": numbers(1), "a": numbers(2)}
    case = Aligned(GRAPH, GRAPH, file_values=values, record_values={**values, "a": numbers(3)})
    adding, pairs = seeder(case)
    overruled = adding.add_named({0: 0, 1: 1, 2: 2})
    assert case.named(pairs) == {"first": "first", "third": "third"}
    assert kinds(pairs) == {"names"}
    assert overruled == {1: 1}


VALUES = {"h": numbers(1), "a": numbers(2), "y": numbers(3)}


def test_nodes_that_compute_what_one_op_computes_are_pairs() -> None:
    """They are candidates as well, with the distance."""
    case = Aligned(GRAPH, GRAPH, file_values=VALUES, record_values=VALUES)
    adding, pairs = seeder(case)
    candidates = adding.add_by_values()
    assert candidates == {0: {0: 0.0}, 1: {1: 0.0}, 2: {2: 0.0}}
    assert case.named(pairs) == {"first": "first", "second": "second", "third": "third"}
    assert kinds(pairs) == {"values"}


def test_values_of_two_ops_and_plain_values_are_candidates_only() -> None:
    """The alignment decides between them."""
    counts = numbers(4).round().clip(-2, 2)
    case = Aligned(
        GRAPH,
        GRAPH,
        file_values={"h": VALUES["h"], "a": counts},
        record_values={"h": VALUES["h"], "a": counts, "y": VALUES["h"].T},
    )
    adding, pairs = seeder(case)
    assert adding.add_by_values() == {0: {0: 0.0, 2: 0.0}, 1: {1: 0.0}}
    assert not pairs.ops


def test_values_say_nothing_where_there_are_none_and_of_nodes_that_pass_values_through() -> None:
    """Nor of a node that is paired already."""
    adding, pairs = seeder(Aligned(GRAPH, GRAPH))
    assert adding.add_by_values() == {}
    case = Aligned(
        GRAPH,
        GRAPH,
        file_values={**VALUES, "y": VALUES["a"]},
        record_values=VALUES,
    )
    adding, pairs = seeder(case)
    pairs.add_pair(0, 2, EvidenceKind.NAMES)
    assert adding.add_by_values() == {1: {1: 0.0}}
    assert case.named(pairs) == {"first": "third", "second": "second"}


@pytest.mark.parametrize(("other", "paired"), [(VALUES["a"], True), (1.01 * VALUES["h"], False)])
def test_in_a_quantised_file_sketches_may_contradict_order_statistics(
    other: Array, paired: bool
) -> None:
    """Order statistics alone may take the values of one layer for those of another."""
    case = Aligned(
        GRAPH,
        GRAPH,
        file_values={"h": VALUES["h"]},
        record_values={"h": VALUES["h"].T, "a": other},
        quantised=True,
    )
    adding, pairs = seeder(case)
    assert adding.add_by_values() == {0: {0: 0.0}}
    assert (0 in pairs) is paired


def test_nodes_that_read_the_weight_of_one_op_are_pairs() -> None:
    """Each weight leads to the op that reads it."""
    case = Aligned(GRAPH, GRAPH, weights=SAME)
    adding, pairs = seeder(case)
    adding.add_by_weights({})
    assert case.named(pairs) == {"first": "first", "second": "second"}
    assert kinds(pairs) == {"weights"}


def test_a_node_that_reads_the_weights_of_a_chain_does_all_of_it() -> None:
    """It is paired with the last op, and the chain is its span."""
    case = Aligned(FUSED, GRAPH, weights=SAME)
    adding, pairs = seeder(case)
    adding.add_by_weights({})
    assert case.named(pairs) == {"gemm": "second"}
    assert kinds(pairs) == {"weights"}
    span = pairs.spans[case.node("gemm"), case.op("second")]
    assert span == ((case.op("second"), case.op("first")), frozenset(), True)
    assert not pairs.is_free(case.op("first"))
    assert pairs.is_free(case.op("third"))


def test_a_node_that_reads_a_weight_returns_the_op_behind_that_agrees() -> None:
    """An activation was fused into it: values tell, small as they are. No op of other weights."""
    values = {name: numbers(n, (3,)) for n, name in enumerate("ha")} | {"y": numbers(7, (3,))}
    fused = "g (float[3] x) => (float[3] y) <float[3] w = {1}> { [fused] y = other.Last (x, w) }"
    for read, expected in (({"w": ["w"]}, {"fused": "third"}), (SAME, {})):
        text = fused.replace("{1}>", "{1}, float[3] b = {1}>")
        text = text.replace("{ [fused]", "{ [reader] z = other.Reader (b) [fused]")
        case = Aligned(
            text, GRAPH, weights=read, file_values={"y": values["y"]}, record_values=values
        )
        adding, pairs = seeder(case)
        adding.add_by_weights({})
        assert {n: o for n, o in case.named(pairs).items() if n == "fused"} == expected


def test_weights_of_ops_that_do_not_follow_each_other_are_no_pair() -> None:
    """Nor is a weight that may be one of several."""
    apart = GRAPH.replace("Add (h, b)", "Add (x, b)")
    for record, weights in ((apart, SAME), (GRAPH, {"w": ["w", "b"]})):
        adding, pairs = seeder(Aligned(FUSED, record, weights=weights))
        adding.add_by_weights({})
        assert not pairs.ops


def test_of_several_ops_with_a_weight_the_one_of_the_operator_is_the_node() -> None:
    """A weight may be read again, transposed or not."""
    twice = GRAPH.replace("Relu (a)", "Mul (a, b)")
    case = Aligned(GRAPH, twice, weights=SAME)
    adding, pairs = seeder(case)
    adding.add_by_weights({})
    assert case.named(pairs)["second"] == "second"


def test_weights_do_not_pair_what_values_exclude() -> None:
    """By the candidates of the node, or by a veto; in a quantised file values veto nothing here."""
    case = Aligned(GRAPH, GRAPH, weights=SAME)
    adding, pairs = seeder(case)
    adding.add_by_weights({0: {2: 0.0}, 1: {1: 0.0}})
    assert case.named(pairs) == {"second": "second"}
    differing = {"file_values": {"h": numbers(5)}, "record_values": {"h": numbers(6)}}
    for quantised, rejects, expected in (
        (False, True, {"second"}),
        (False, False, {"first", "second"}),
        (True, False, {"first", "second"}),
    ):
        case = Aligned(
            GRAPH,
            GRAPH,
            weights=SAME,
            quantised=quantised,
            rejects_mismatch=rejects,
            **differing,  # type: ignore[arg-type]
        )
        adding, pairs = seeder(case)
        adding.add_by_weights({})
        assert case.named(pairs).keys() == expected


def test_weights_pair_neither_paired_nor_auxiliary_nodes() -> None:
    """A cast of a weight is aligned with its neighbours, later."""
    cast = GRAPH.replace("MatMul (x, w)", "MatMul (x, c)").replace(
        "[first]", "[cast] c = Cast <to = 1> (w)\n[first]"
    )
    case = Aligned(cast, GRAPH, weights=SAME)
    adding, pairs = seeder(case)
    pairs.add_pair(case.node("second"), case.op("third"), EvidenceKind.NAMES)
    adding.add_by_weights({})
    assert case.named(pairs) == {"first": "first", "second": "third"}


CALLS = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}> {
    [first] a = MatMul (x, w)
    [between] b = Neg (a)
    [second] y = MatMul (b, w)
}"""


def test_calls_of_a_module_are_paired_in_their_order() -> None:
    """Only where the weight is a parameter of one module."""
    case = Aligned(CALLS, CALLS, weights={"w": ["w"]})
    adding, pairs = seeder(case)
    adding.add_by_call_order({}, set())
    assert not pairs.ops
    adding.add_by_call_order({}, values_of(case, "w"))
    assert case.named(pairs) == {"first": "first", "second": "second"}
    assert kinds(pairs) == {"weights"}


def test_calls_are_not_paired_against_another_pair_or_a_veto() -> None:
    """If one call is wrong, the order is, so that all are left open."""
    case = Aligned(CALLS, CALLS, weights={"w": ["w"]})
    adding, pairs = seeder(case)
    pairs.add_pair(case.node("first"), case.op("second"), EvidenceKind.NAMES)
    adding.add_by_call_order({}, values_of(case, "w"))
    assert case.named(pairs) == {"first": "second"}
    case = Aligned(
        CALLS,
        CALLS,
        weights={"w": ["w"]},
        file_values={"y": numbers(1)},
        record_values={"y": numbers(2)},
    )
    adding, pairs = seeder(case)
    adding.add_by_call_order({}, values_of(case, "w"))
    assert not pairs.ops


def test_a_call_that_values_exclude_is_left_open_alone() -> None:
    """Its value is that of other ops; the calls that are paired already stay."""
    case = Aligned(CALLS, CALLS, weights={"w": ["w"]})
    adding, pairs = seeder(case)
    pairs.add_pair(case.node("first"), case.op("first"), EvidenceKind.NAMES)
    adding.add_by_call_order({case.node("second"): {case.op("between"): 0.0}}, values_of(case, "w"))
    assert case.named(pairs) == {"first": "first"}
    assert kinds(pairs) == {"names"}


BRANCHES = """g (float[8,16] x, bool c) => (float[8,16] y) {
    [before] h = Neg (x)
    [if] y = If (c) <
        then_branch = yes () => (float[8,16] a) {
            [one] i = Neg (h) [two] j = Abs (i) [three] a = Neg (j)
        },
        else_branch = no () => (float[8,16] b) { [other] b = Exp (h) }
    >
}"""


def test_nodes_in_subgraphs_are_paired_by_an_operator_that_occurs_once() -> None:
    """In the subgraph of the same attribute, once the nodes that hold both are paired."""
    case = Aligned(BRANCHES, BRANCHES)
    adding, pairs = seeder(case)
    assert adding.add_in_subgraphs(recorded_ops(case)) is False
    pairs.add_pair(case.node("if"), case.op("if"), EvidenceKind.NAMES)
    assert adding.add_in_subgraphs(recorded_ops(case)) is True
    assert case.named(pairs) == {"if": "if", "two": "two", "other": "other"}
    assert kinds(pairs) == {"names", "structure"}
    assert adding.add_in_subgraphs(recorded_ops(case)) is False


def test_an_operator_that_occurs_once_must_do_so_on_both_sides() -> None:
    """Else the node may be any of them."""
    for file, record in (
        (BRANCHES, BRANCHES.replace("[three] a = Neg", "[three] a = Abs")),
        (BRANCHES.replace("[three] a = Neg", "[three] a = Abs"), BRANCHES),
        (BRANCHES, BRANCHES.replace("Abs", "Ceil")),
    ):
        case = Aligned(file, record)
        adding, pairs = seeder(case)
        pairs.add_pair(case.node("if"), case.op("if"), EvidenceKind.NAMES)
        adding.add_in_subgraphs(recorded_ops(case))
        assert "two" not in case.named(pairs)


PLACE = """g (float[8,16] x) => (float[8,16] y) {
    [before] h = Neg (x)
    [inner] a = Gelu (h)
    [after] y = Abs (a)
}"""
REPLACED = PLACE.replace("Gelu", "other.FastGelu")
AROUND = {"before": "before", "after": "after"}


def by_position(case: Aligned, seeds: dict[str, str]) -> tuple[bool, dict[str, str]]:
    adding, pairs = seeder(case)
    for node, op in seeds.items():
        pairs.add_pair(case.node(node), case.op(op), EvidenceKind.NAMES)
    return adding.add_by_position(), case.named(pairs)


def test_a_node_of_an_unknown_operator_is_the_one_op_at_its_place() -> None:
    """Between the ops of all its predecessors and those of its successors."""
    case = Aligned(REPLACED, PLACE)
    adding, pairs = seeder(case)
    for name in AROUND:
        pairs.add_pair(case.node(name), case.op(name), EvidenceKind.NAMES)
    assert adding.add_by_position()
    assert case.named(pairs) == {**AROUND, "inner": "inner"}
    assert pairs.evidence[case.node("inner")] == EvidenceKind.STRUCTURE


def test_a_place_tells_nothing_when_a_side_is_open_or_the_op_is_done() -> None:
    """Nor for an operator that the record has: such a node would have been found by growing."""
    case = Aligned(REPLACED, PLACE)
    for seeds in ({"before": "before"}, {"after": "after"}, {**AROUND, "before": "inner"}):
        assert by_position(case, seeds) == (False, seeds)
    known = Aligned(PLACE, PLACE)
    assert by_position(known, AROUND) == (False, AROUND)


def test_a_place_with_two_ops_tells_nothing() -> None:
    """They read the same, and are read by the same."""
    record = PLACE.replace("[after] y = Abs (a)", "[more] b = Exp (h) [after] y = Add (a, b)")
    file = REPLACED.replace("Abs (a)", "Add (a, h)")
    assert not by_position(Aligned(file, record), AROUND)[0]


def test_a_place_is_not_taken_against_a_veto() -> None:
    """The node computes something else than the op there."""
    case = Aligned(REPLACED, PLACE, file_values={"a": numbers(1)}, record_values={"a": numbers(2)})
    assert not by_position(case, AROUND)[0]


def test_results_near_those_of_ops_are_found_in_a_quantised_file() -> None:
    """Of open nodes; none where values are exact, or not known."""
    recorded = {"h": VALUES["h"], "a": VALUES["a"], "y": VALUES["y"]}
    noisy = {name: array + 0.05 * numbers(9) for name, array in recorded.items()}
    exact = Aligned(GRAPH, GRAPH, file_values=recorded, record_values=recorded)
    assert find_nearby_ops(exact.graphs, set()) == {}
    assert find_nearby_ops(Aligned(GRAPH, GRAPH).graphs, set()) == {}
    case = Aligned(GRAPH, GRAPH, file_values=noisy, record_values=recorded, quantised=True)
    nearby = find_nearby_ops(case.graphs, {case.node("first")})
    assert {node: list(ops) for node, ops in nearby.items()} == {1: [1], 2: [2]}
    assert 0 < nearby[1][1] < 0.1


def test_an_op_that_passes_values_through_is_not_near() -> None:
    """Its result is that of another op."""
    record = GRAPH.replace("Add (h, b)", "Identity (h)")
    values = {"a": VALUES["a"]}
    case = Aligned(GRAPH, record, file_values=values, record_values=values, quantised=True)
    assert find_nearby_ops(case.graphs, set()) == {0: {}, 1: {}, 2: {}}


@pytest.mark.parametrize(
    ("op_type", "torch_op_types", "near"),
    [
        ("MatMul", False, []),
        ("Split", False, ["left"]),
        ("Slice", False, ["left"]),
        ("aten::linear", True, ["left"]),
    ],
)
def test_a_node_that_splits_a_value_is_not_the_op_that_computes_a_part(
    op_type: str, torch_op_types: bool, near: list[str]
) -> None:
    """Merged projections are split again: the parts are near to what each projection computes.

    Torch's operators are not compared.
    """
    operator = op_type.replace("::", ".")
    file = """g (float[8,16] x) => (float[4,16] a, float[4,16] b) <float[16,16] w = {1}> {
        [packed] h = MatMul (x, w) [split] a, b = Split (h)
    }"""
    record = f"""g (float[8,16] x) => (float[4,16] a, float[4,16] b) <float[16,16] w = {{1}}> {{
        [left] a = {operator} (x, w) [right] b = Tanh (x)
    }}"""
    values = {"a": numbers(1, (4, 16))}
    noisy = {"a": values["a"] + 0.05 * numbers(9, (4, 16)), "b": numbers(2, (4, 16))}
    case = Aligned(
        file,
        record,
        file_values=noisy,
        record_values=values,
        quantised=True,
        torch_op_types=torch_op_types,
    )
    ops = find_nearby_ops(case.graphs, set())[case.node("split")]
    assert [case.op_name(op) for op in ops] == near


@pytest.mark.parametrize("quantised", [True, False])
def test_auxiliary_nodes_have_no_near_ops(quantised: bool) -> None:
    """A reshape has the numbers of what it reads."""
    text = GRAPH.replace("Relu (a)", "Identity (a)")
    case = Aligned(text, text, file_values=VALUES, record_values=VALUES, quantised=quantised)
    assert case.node("third") not in find_nearby_ops(case.graphs, set())


def test_a_node_with_subgraphs_that_is_open_does_not_hide_the_next_one() -> None:
    """Each subgraph is looked at, also behind one whose node is not paired."""
    again = BRANCHES.replace(
        "    >\n}",
        """    >
    [again] z = If (c) <
        then_branch = yes () => (float[8,16] a) { [inner] a = Floor (y) },
        else_branch = no () => (float[8,16] b) { [last] b = Exp (y) }
    >
}""",
    )
    case = Aligned(again, again)
    adding, pairs = seeder(case)
    pairs.add_pair(case.node("again"), case.op("again"), EvidenceKind.NAMES)
    assert adding.add_in_subgraphs(recorded_ops(case))
    assert case.named(pairs) == {"again": "again", "inner": "inner", "last": "last"}


def test_an_op_without_subgraphs_pairs_nothing_inside() -> None:
    """A node with subgraphs may be paired with an op that has none."""
    case = Aligned(BRANCHES, BRANCHES)
    adding, pairs = seeder(case)
    pairs.add_pair(case.node("if"), case.op("before"), EvidenceKind.NAMES)
    assert not adding.add_in_subgraphs(recorded_ops(case))


def test_subgraphs_in_subgraphs_are_paired_at_once() -> None:
    """Outer graphs come first, so that the nodes in them tell about the inner ones."""
    inner = """[inner] a = If (c) <
        then_branch = deep () => (float[8,16] d) { [deep] d = Ceil (h) },
        else_branch = low () => (float[8,16] e) { [low] e = Floor (h) }
    >"""
    text = BRANCHES.replace("[one] i = Neg (h) [two] j = Abs (i) [three] a = Neg (j)", inner)
    case = Aligned(text, text)
    adding, pairs = seeder(case)
    pairs.add_pair(case.node("if"), case.op("if"), EvidenceKind.NAMES)
    assert adding.add_in_subgraphs(recorded_ops(case))
    assert case.named(pairs) == {name: name for name in ("if", "inner", "deep", "low", "other")}


def test_a_place_whose_op_another_node_does_tells_nothing() -> None:
    """The op is not free."""
    file = REPLACED.replace("[after]", "[copy] c = Gelu (h) [after]")
    seeds = {**AROUND, "copy": "inner"}
    assert by_position(Aligned(file, PLACE), seeds) == (False, seeds)


def test_a_node_without_a_recorded_value_does_not_hide_the_next_one() -> None:
    """Each node is looked at."""
    case = Aligned(GRAPH, GRAPH, file_values={"a": numbers(2)}, record_values=VALUES)
    adding, pairs = seeder(case)
    assert adding.add_by_values() == {1: {1: 0.0}}
    assert case.named(pairs) == {"second": "second"}


def test_in_a_quantised_file_sketches_may_confirm_order_statistics() -> None:
    """Where both lead to the same op, it is the node."""
    case = Aligned(GRAPH, GRAPH, file_values=VALUES, record_values=VALUES, quantised=True)
    adding, pairs = seeder(case)
    adding.add_by_values()
    assert case.named(pairs) == {name: name for name in ("first", "second", "third")}


def test_a_weight_that_no_op_reads_pairs_nothing() -> None:
    """The record has it, but the graph does not need it."""
    adding, pairs = seeder(Aligned(GRAPH, GRAPH.replace("(h, b)", "(h, h)"), weights=SAME))
    adding.add_by_weights({})
    assert pairs.ops == {0: 0}


def test_calls_that_contradict_a_pair_do_not_hide_others() -> None:
    """Each weight is looked at."""
    text = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16,16] v = {2}> {
        [first] a = MatMul (x, w) [second] b = MatMul (a, w)
        [third] c = MatMul (b, v) [fourth] y = MatMul (c, v)
    }"""
    case = Aligned(text, text, weights={"w": ["w"], "v": ["v"]})
    adding, pairs = seeder(case)
    pairs.add_pair(case.node("first"), case.op("second"), EvidenceKind.NAMES)
    adding.add_by_call_order({}, values_of(case, "w v"))
    assert case.named(pairs) == {"first": "second", "third": "third", "fourth": "fourth"}
