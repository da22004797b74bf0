"""Seeds in a file of a related model: names that may be another node's, nodes of new modules."""

from dataclasses import replace

import pytest

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.rewriter.matching.alignment.pairs import Pairs
from modelexport.rewriter.matching.alignment.seeds import Seeder
from tests.helpers.aligned import Aligned, numbers

GRAPH = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16] b = {1}> {
    [first] h = MatMul (x, w)
    [second] a = Add (h, b)
    [third] y = Relu (a)
}"""


@pytest.mark.parametrize(
    ("weights", "record", "paired"),
    [
        ({"b": ["b"]}, GRAPH, True),
        ({}, GRAPH, False),
        ({"b": ["w"]}, GRAPH, False),
        ({"b": ["b"]}, GRAPH.replace("Relu (a)", "Mul (a, b)"), False),
    ],
)
def test_an_uncertain_name_of_a_node_that_has_diverged_needs_a_weight(
    weights: dict[str, list[str]], record: str, paired: bool
) -> None:
    """One that the op of the name reads, and no other op."""
    values = {"x": numbers(1), "h": numbers(2)}
    case = Aligned(
        GRAPH, record, weights=weights, file_values=values, record_values={"x": values["x"]}
    )
    assert case.values is not None
    pairs, node, op = Pairs(), case.node("second"), case.op("second")
    graphs = replace(case.graphs, values=case.values.as_related())
    Seeder(graphs, pairs).add_named({node: op}, {node})
    assert (node in pairs) is paired


def test_a_node_of_a_new_module_is_not_paired_by_its_place() -> None:
    """Nor is one that only passes a value on."""
    record = """g (float[8,16] x) => (float[8,16] y) {
        [before] h = Neg (x) [middle] k = Sin (h) [after] y = Abs (k)
    }"""
    case = Aligned(record.replace("Sin", "other.Some"), record)
    seeds = {"before": "before", "after": "after"}
    for new, expected in (((), True), (("middle",), False)):
        graphs = replace(case.graphs, new_nodes=frozenset(map(case.node, new)))
        pairs = case.pairs(seeds)
        assert Seeder(graphs, pairs).add_by_position() is expected
    passing = Aligned(record.replace("Sin", "Identity"), record)
    assert not Seeder(passing.graphs, passing.pairs(seeds)).add_by_position()


def test_a_fused_node_is_told_by_the_weight_of_its_first_op() -> None:
    """An op that reads another weight is not behind it; others that read its result may be."""
    record = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16] b = {1}> {
        [first] h = MatMul (x, w) [other] o = Add (h, b) [second] a = Tanh (h) [end] y = Add (o, a)
    }"""
    file = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16] b = {1}> {
        [fused] a = other.Fused (x, w) [rest] y = other.Rest (a, b)
    }"""
    recorded = {name: numbers(n) for n, name in enumerate("xhoay")}
    values = {name: recorded[name] for name in "xay"}
    case = Aligned(
        file,
        record,
        weights={"w": ["w"], "b": ["b"]},
        file_values=values,
        record_values=recorded,
    )
    pairs = Pairs()
    Seeder(case.graphs, pairs).add_by_weights({})
    assert case.named(pairs)["fused"] == "second"
    assert pairs.evidence[case.node("fused")] is EvidenceKind.WEIGHTS
