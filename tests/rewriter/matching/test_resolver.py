"""All evidence together: what is paired, enclosed, ambiguous, and for what reason not."""

from dataclasses import replace

from modelexport.hierarchy.choices import EvidenceKind
from tests.helpers.aligned import Aligned, numbers
from tests.helpers.resolved import paired, resolve

GRAPH = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16] b = {1}> {
    [first] h = MatMul (x, w)
    [cast] c = Cast <to = 1> (h)
    [second] a = Add (c, b)
    [shape] s = Shape (a)
    [third] y = Expand (a, s)
}"""


def test_one_pair_resolves_a_graph_that_did_not_change() -> None:
    """Casts, shape arithmetic and what passes values through come last, edge by edge."""
    case = Aligned(GRAPH, GRAPH)
    actual = resolve(case, {"second": "second"})
    assert paired(case, actual) == {
        name: [name] for name in ("first", "cast", "second", "shape", "third")
    }
    kinds = {case.node_name(node): kind for node, kind in actual.evidence.items()}
    assert kinds.pop("second") == EvidenceKind.NAMES
    assert set(kinds.values()) == {EvidenceKind.STRUCTURE}
    assert actual.origins() == {n: (n,) for n in range(len(case.file))}


def test_without_structure_only_seeds_are_resolved() -> None:
    """Names, values and weights speak for themselves."""
    case = Aligned(
        GRAPH,
        GRAPH,
        weights={"b": ["b"]},
        file_values={"h": numbers(1)},
        record_values={"h": numbers(1)},
    )
    actual = resolve(case, {"third": "third"}, structure=False)
    assert paired(case, actual) == {name: [name] for name in ("first", "second", "third")}
    assert not actual.considered
    assert (actual.regions, actual.reasons) == ({}, {})


def test_a_name_that_values_overrule_is_kept_for_the_report() -> None:
    """The node is paired with what it computes."""
    values = {"h": numbers(1), "a": numbers(2)}
    case = Aligned(GRAPH, GRAPH, file_values=values, record_values=values)
    actual = resolve(case, {"first": "second"})
    assert paired(case, actual)["first"] == ["first"]
    assert actual.overruled == {case.node("first"): case.op("second")}


FUSED = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16] b = {1}> {
    [gemm] a = other.Gemm (x, w, b)
    [shape] s = Shape (a)
    [third] y = Expand (a, s)
}"""


def test_a_fused_node_does_all_the_ops_of_its_weights() -> None:
    """The last one first."""
    case = Aligned(FUSED, GRAPH, weights={"w": ["w"], "b": ["b"]})
    actual = resolve(case)
    assert paired(case, actual)["gemm"] == ["second", "first"]


def test_an_auxiliary_node_does_one_op() -> None:
    """Whatever the record has between what it reads and what it returns."""
    file = """g (float[8,16] x) => (float[8,16] y) { [whole] h = Neg (x) [all] y = Identity (h) }"""
    record = """g (float[8,16] x) => (float[8,16] y) {
        [whole] h = Neg (x) [one] a = Identity (h) [two] y = Identity (a)
    }"""
    case = Aligned(file, record)
    assert paired(case, resolve(case, {"all": "two"}))["all"] == ["two"]


def test_a_node_that_asks_for_a_shape_does_that_and_no_more() -> None:
    """What is computed in between has the same shape; it may be left out of the file."""
    file = "g (float[8,16] x) => (int64[2] y) { [whole] h = Neg (x) [all] y = Shape (h) }"
    record = """g (float[8,16] x) => (int64[2] y) {
        [whole] h = Neg (x) [one] a = Abs (h) [two] y = Shape (a)
    }"""
    case = Aligned(file, record)
    assert paired(case, resolve(case, {"all": "two", "whole": "whole"}))["all"] == ["two"]


def test_what_passes_values_through_is_known_by_values() -> None:
    """A multiplication by one stands between two nodes as if it were not there."""
    file = GRAPH.replace("Add (c, b)", "Add (m, b)").replace(
        "[second]", "[one] m = Mul (c, one)\n[second]"
    )
    values = {"h": numbers(1), "a": numbers(2)}
    case = Aligned(
        file,
        GRAPH,
        file_values={**values, "c": values["h"], "m": values["h"]},
        record_values=values,
    )
    assert resolve(case).graphs.file.pass_through[case.node("one")]
    for options in ({"quantised": True}, {}):
        case = Aligned(
            file,
            GRAPH,
            file_values={**values, "c": values["h"], "m": values["h"]},
            record_values=values,
            rejects_mismatch=False,
            **options,  # type: ignore[arg-type]
        )
        assert not resolve(case).graphs.file.pass_through[case.node("one")]


def test_quantised_values_are_trusted_as_far_as_seeds_show() -> None:
    """Seeds whose values are far apart show that values say nothing."""
    for noise, trusted in ((0.05, True), (2.0, False)):
        recorded = {"h": numbers(1), "a": numbers(2)}
        file = {name: array + noise * numbers(9) for name, array in recorded.items()}
        case = Aligned(GRAPH, GRAPH, file_values=file, record_values=recorded, quantised=True)
        case = _without_veto(case)
        actual = resolve(case, {"first": "first"})
        assert actual.graphs.values is not None
        assert (actual.graphs.values.quantised is not None) is trusted


def _without_veto(case: Aligned) -> Aligned:
    assert case.values is not None
    case.__dict__["values"] = replace(case.values, rejects_mismatch=False)
    return case


def test_nodes_that_are_no_op_get_a_region_or_a_reason() -> None:
    """What is between their paired neighbours; nothing where there are none."""
    file = """g (float[8,16] x, float[8,16] z) => (float[8,16] y) {
        [first] h = MatMul (x, x) [step] p = other.Step (h) [more] q = other.More (p)
        [third] y = Expand (q, z) [lost] l = other.Lost (z)
    }"""
    case = Aligned(file, GRAPH)
    actual = resolve(case, {"first": "first", "third": "third"})
    region = (case.op("second"),)
    assert actual.regions == {case.node("step"): region, case.node("more"): region}
    reason = "no output needs its result, so nothing tells where it belongs"
    assert actual.reasons == {case.node("lost"): reason}
    assert actual.origins()[case.node("step")] == (case.op("second"),)


def test_a_merged_weight_tells_where_nothing_encloses_a_node() -> None:
    """The ops that read the weights of which it consists."""
    file = """g (float[8,16] z) => (float[8,16] y) <float[16,16] v = {1}> {
        [all] y = other.All (z, v)
    }"""
    case = Aligned(file, GRAPH)
    actual = resolve(case, merged={"v": ["w", "b"]})
    assert actual.regions == {case.node("all"): (case.op("first"), case.op("second"))}


SUBGRAPHS = """g (float[8,16] x, bool c) => (float[8,16] y) {
    [if] r = If (c) <
        then_branch = yes () => (float[8,16] a) {
            [one] i = Neg (x) [two] j = Abs (i) [three] a = Neg (j)
        },
        else_branch = no () => (float[8,16] b) { [other] b = Exp (x) }
    >
    [end] y = Relu (r)
}"""


def test_nodes_in_subgraphs_are_resolved_from_an_operator_that_occurs_once() -> None:
    """And from there along the edges inside."""
    case = Aligned(SUBGRAPHS, SUBGRAPHS)
    actual = resolve(case, {"end": "end"})
    assert paired(case, actual) == {
        name: [name] for name in ("if", "end", "one", "two", "three", "other")
    }


def test_operators_that_the_record_does_not_have_are_resolved_by_their_place() -> None:
    """One after the other, until no place tells any more."""
    record = """g (float[8,16] x) => (float[8,16] y) {
        [one] a = Exp (x) [two] b = Neg (a) [three] c = Exp (b)
        [four] d = Abs (c) [five] y = Exp (d)
    }"""
    file = record.replace("Neg", "other.Neg").replace("Abs", "other.Abs")
    case = Aligned(file, record)
    named = {"one": "one", "three": "three", "five": "five"}
    actual = resolve(case, named)
    assert paired(case, actual) == {name: [name] for name in (*named, "two", "four")}


def test_equal_candidates_are_ambiguous() -> None:
    """They are kept, and what was scored, too."""
    text = """g (float[8,16] x) => (float[8,16] y) {
        [one] a = Neg (x) [two] b = Neg (x) [both] y = Div (a, b)
    }"""
    values = {"a": numbers(1), "b": numbers(1)}
    case = Aligned(text, text, file_values=values, record_values=values)
    actual = resolve(case)
    assert {case.node_name(node) for node in actual.ambiguous} == {"one", "two"}
    assert actual.considered.keys() >= actual.ambiguous.keys()


def test_inputs_are_a_seed_by_name_and_by_what_they_were_fed() -> None:
    """Nothing else is known here, and the names of the nodes are not looked at."""
    case = Aligned(GRAPH, GRAPH)
    assert len(paired(case, resolve(case))) == len(case.file)
    renamed = GRAPH.replace("] x)", "] fed)").replace("(x, w)", "(fed, w)")
    case = Aligned(renamed, GRAPH)
    assert paired(case, resolve(case)) == {}
    values = numbers(1)
    case = Aligned(renamed, GRAPH, file_values={"fed": values}, record_values={"x": values})
    assert len(paired(case, resolve(case))) == len(case.file)


CALLS = """g (float[8,16] x, float[8,16] z) => (float[8,16] y) <float[16,16] w = {1}> {
    [one] a = MatMul (x, w) [two] b = Neg (a) [three] y = MatMul (b, w)
}"""


def test_calls_of_a_module_are_resolved_by_their_order() -> None:
    """The order goes before the structure."""
    case = Aligned(CALLS, CALLS, weights={"w": ["w"]})
    actual = resolve(case, owners={"w": "layer"}, structure=False)
    assert paired(case, actual) == {"one": ["one"], "three": ["three"]}
    assert set(actual.evidence.values()) == {EvidenceKind.WEIGHTS}


def test_near_results_are_weighed_in_a_quantised_file() -> None:
    """They decide between two ops that stand at the same place."""
    text = """g (float[8,16] x) => (float[8,16] y) {
        [root] r = Neg (x) [one] a = Abs (r) [two] b = Abs (r) [both] y = Div (a, b)
    }"""
    recorded = {"r": numbers(1), "a": numbers(2), "b": numbers(3)}
    noisy = {name: array + 0.05 * numbers(9) for name, array in recorded.items()}
    swapped = {"r": noisy["r"], "a": noisy["b"], "b": noisy["a"]}
    case = Aligned(
        text,
        text,
        file_values=swapped,
        record_values=recorded,
        quantised=True,
        rejects_mismatch=False,
    )
    actual = resolve(case, {"root": "root"})
    names = paired(case, actual)
    assert (names["one"], names["two"]) == (["two"], ["one"])
    scored = [(case.op_name(s.op), s.score) for s in actual.considered[case.node("one")]]
    assert scored == [("two", 1.5)]


def test_auxiliary_nodes_in_a_row_are_resolved_one_by_one() -> None:
    """Edge by edge, in both graphs with every node."""
    text = """g (float[8,16] x) => (float[8,16] y) {
        [first] h = Neg (x) [cast] c = Cast <to = 1> (h) [same] s = Identity (c)
        [turn] t = Transpose (s) [last] y = Abs (t)
    }"""
    case = Aligned(text, text)
    names = ("first", "cast", "same", "turn", "last")
    assert paired(case, resolve(case)) == {name: [name] for name in names}


def test_only_auxiliary_nodes_are_resolved_edge_by_edge() -> None:
    """Another exporter's cast must not tell two equal nodes apart."""
    record = """g (float[8,16] x) => (float[8,16] y) {
        [root] r = Neg (x) [cast] c = Cast <to = 1> (r) [one] a = Abs (r) [two] b = Abs (c)
        [both] y = Div (a, b)
    }"""
    file = """g (float[8,16] x) => (float[8,16] y) {
        [root] r = Neg (x) [one] a = Abs (r) [two] b = Abs (r) [both] d = Div (a, b)
        [more] y = Identity (d)
    }"""
    case = Aligned(file, record)
    assert paired(case, resolve(case)) == {"root": ["root"]}


def test_an_auxiliary_node_does_all_of_its_op() -> None:
    """What is next to it does nothing of that op."""
    file = """g (float[8,16] x) => (float[8,16] y) {
        [before] h = Neg (x) [middle] m = Identity (h) [extra] e = other.Extra (m)
        [after] y = Abs (e)
    }"""
    record = """g (float[8,16] x) => (float[8,16] y) {
        [before] h = Neg (x) [middle] m = Exp (h) [ceil] c = Ceil (m) [after] y = Abs (c)
    }"""
    case = Aligned(file, record)
    actual = resolve(case, {name: name for name in ("before", "middle", "after")})
    assert actual.regions == {case.node("extra"): (case.op("ceil"),)}


def test_an_auxiliary_node_that_reads_other_values_leaves_its_op_to_others() -> None:
    """A quantiser, say, that returns what an op computes does not do that op."""
    file = """g (float[8,16] x, float[8,16] u) => (float[8,16] y, float[8,16] s) {
        [first] h = Neg (x) [extra] e = other.Extra (h) [last] y = Abs (e) [side] s = Identity (u)
    }"""
    record = """g (float[8,16] x, float[8,16] z) => (float[8,16] y) {
        [first] h = Neg (x) [sum] m = Add (h, z) [last] y = Abs (m)
    }"""
    case = Aligned(file, record)
    seeds = {"first": "first", "last": "last", "side": "sum"}
    assert resolve(case, seeds).regions == {case.node("extra"): (case.op("sum"),)}
    reads_all = Aligned(
        file.replace("Identity (u)", "Identity (h)"), record.replace("h, z", "h, h")
    )
    assert (reads_all.op("sum"),) not in resolve(reads_all, seeds).regions.values()


def test_a_part_of_a_merged_weight_may_be_read_by_no_op() -> None:
    """Subgraphs of the record may read it, or nothing at all."""
    file = """g (float[8,16] z) => (float[8,16] y) <float[16,16] v = {1}> {
        [all] y = other.All (z, v)
    }"""
    case = Aligned(file, GRAPH.replace("Add (c, b)", "Neg (c)"))
    actual = resolve(case, merged={"v": ["w", "b"]})
    assert actual.regions == {case.node("all"): (case.op("first"),)}


def test_a_node_with_candidates_is_not_weighed_by_near_results() -> None:
    """In a quantised file, too, what a node computes exactly leaves nothing to being near."""
    text = """g (float[8,16] x) => (float[8,16] y) {
        [root] r = Neg (x) [one] a = Abs (r) [two] b = Abs (r) [both] y = Div (a, b)
    }"""
    values = {"r": numbers(1), "a": numbers(2), "b": numbers(2)}
    case = Aligned(
        text,
        text,
        file_values=values,
        record_values=values,
        quantised=True,
        rejects_mismatch=False,
    )
    actual = resolve(case, {"root": "root"})
    ambiguous = {case.node_name(node): scored for node, scored in actual.ambiguous.items()}
    assert {name: {s.score for s in scored} for name, scored in ambiguous.items()} == {
        "one": {1.0},
        "two": {1.0},
    }


def test_operators_that_only_reshape_stand_for_each_other_between_paired_nodes() -> None:
    """Where one neighbour is not the recorded one, they do not."""
    record = """g (float[8,16] x) => (float[8,16] y) <int64[1] s = {128}> {
        [first] h = Neg (x) [reshape] r = Reshape (h, s) [last] y = Abs (r)
    }"""
    case = Aligned(record.replace("[reshape] r = Reshape (h, s)", "[flat] r = Flatten (h)"), record)
    pairs = {"first": "first", "last": "last"}
    assert paired(case, resolve(case, pairs))["flat"] == ["reshape"]
    assert "flat" not in paired(case, resolve(case, {"first": "first"}, structure=False))
    moved = record.replace("y = Abs (r)", "y = Abs (h)")
    case = Aligned(record.replace("[reshape] r = Reshape (h, s)", "[flat] r = Flatten (h)"), moved)
    assert "flat" not in paired(case, resolve(case, pairs))
