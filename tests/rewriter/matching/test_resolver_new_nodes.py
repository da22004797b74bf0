"""Nodes of modules that the record does not have, as the resolver sees them."""

from dataclasses import replace

from modelexport.rewriter.matching.evidence.idle_weights import IdleWeights
from modelexport.rewriter.matching.evidence.weight_match import WeightMatch
from modelexport.rewriter.matching.resolver import NodeResolver, Resolution
from tests.helpers.aligned import Aligned, Arrays, numbers
from tests.helpers.handmade import parse, record_of

RECORD = """g (float[8,16] x) => (float[8,16] a) <float[16,16] w = {1}, float[16] p = {1}> {
    [base] r = MatMul (x, w) [bias] a = Add (r, p)
}"""
FILE = """g (float[8,16] x) => (float[8,16] y) <
    float[16,16] w = {1}, float[16,16] m = {1}, float[16,16] v = {2}, float[16,16] u = {3},
    float[16] p = {1}
> {
    [base] a = MatMul (x, w)
    [down] b = MatMul (x, v)
    [up] c = MatMul (b, u)
    [both] d = Gemm (b, w, v)
    [merged] e = Gemm (x, v, m)
    [plain] f = Gemm (x, v, p)
    [sum] y = Sum (a, c, d, e, f)
}"""


def resolve(file_values: Arrays | None = None, record_values: Arrays | None = None) -> Resolution:
    """A file with two new weights `v` and `u`, a merged one `m`, and one of equal numbers `p`."""
    case = Aligned(FILE, RECORD, file_values=file_values, record_values=record_values)
    file, recorded = case.file.indexed, case.record.indexed
    w, m, v, u, p = (file.value_of("", name) for name in "wmvup")
    recorded_w, recorded_p = (frozenset({recorded.value_of("", name)}) for name in "wp")
    weights = WeightMatch(
        candidates={w: recorded_w, p: recorded_p},
        merged_from={m: recorded_w},
        new=frozenset({v, u}),
        plain=frozenset({p}),
    )
    record = record_of(case.record.model, {"": "Net"}, [""] * len(case.record))
    return NodeResolver(record, file, recorded, case.values, weights).resolve({}, structure=False)


def new_nodes(resolution: Resolution) -> set[str]:
    names = [node.name for node in parse(FILE).graph.node]
    return {names[node] for node in resolution.graphs.new_nodes}


def test_nodes_that_read_new_weights_and_none_of_the_record_are_new() -> None:
    """Merged weights are of the record; one of equal numbers is of any model."""
    assert new_nodes(resolve()) == {"down", "up", "plain"}


def test_weights_of_equal_numbers_are_known_to_the_alignment() -> None:
    """They tell no node from others."""
    graphs = resolve().graphs
    (plain,) = graphs.plain_weights
    assert graphs.file.graph.value_names[plain] == ("", "p")


def test_a_node_whose_result_was_recorded_is_not_new() -> None:
    """Whatever weights it reads; what reads another new weight behind it is."""
    values = {"x": numbers(1), "b": numbers(2)}
    recorded = {"x": values["x"], "r": values["b"]}
    assert new_nodes(resolve(values, recorded)) == {"up", "plain"}


def test_a_counted_name_pairs_no_node_that_has_diverged() -> None:
    """In a related model it may be the name of another node; any other name counts."""
    values = {"x": numbers(1)}
    case = Aligned(FILE, RECORD, file_values={**values, "a": numbers(2)}, record_values=values)
    node, op = case.node("base"), case.op("base")
    record = record_of(case.record.model, {"": "Net"}, [""] * len(case.record))
    assert case.values is not None
    values_of_relative = replace(case.values, may_diverge=True)
    file, recorded = case.file.indexed, case.record.indexed
    resolver = NodeResolver(record, file, recorded, values_of_relative)
    assert node in resolver.resolve({node: op}, structure=False).paired
    uncertain = frozenset({node})
    assert node not in resolver.resolve({node: op}, structure=False, uncertain=uncertain).paired


def test_nodes_of_modules_that_did_not_run_are_new() -> None:
    """Their weights are known, and no recorded op reads them."""
    case = Aligned(FILE, RECORD)
    file, recorded = case.file.indexed, case.record.indexed
    w, v = (file.value_of("", name) for name in "wv")
    candidates = {w: frozenset({recorded.value_of("", "w")})}
    weights = WeightMatch(candidates, idle=IdleWeights(frozenset({v})))
    record = record_of(case.record.model, {"": "Net"}, [""] * len(case.record))
    resolver = NodeResolver(record, file, recorded, case.values, weights)
    assert new_nodes(resolver.resolve({}, structure=False)) == {"down", "up", "merged", "plain"}


def test_a_node_whose_result_was_only_given_is_new() -> None:
    """A cache among the recorded inputs holds what another part of the model computes."""
    given = numbers(2)
    resolution = resolve({"x": numbers(1), "b": given}, {"x": given, "r": numbers(3)})
    assert new_nodes(resolution) == {"down", "up", "plain"}


def test_the_ops_between_which_new_nodes_stand_are_resolved() -> None:
    """Where the node behind still reads what it read, it is the op of that one alone."""
    case = Aligned(FILE, RECORD)
    w, p, v, u = (case.file.indexed.value_of("", name) for name in "wpvu")
    recorded = (frozenset({case.record.indexed.value_of("", name)}) for name in "wp")
    weights = WeightMatch(candidates=dict(zip((w, p), recorded, strict=True)), new={v, u})
    record = record_of(case.record.model, {"": "Net"}, [""] * len(case.record))
    resolver = NodeResolver(record, case.file.indexed, case.record.indexed, None, weights)
    pairs = {case.node("base"): case.op("base"), case.node("sum"): case.op("bias")}
    actual = resolver.resolve(pairs, structure=True)
    assert actual.between[case.node("up")] == (case.op("bias"),)
