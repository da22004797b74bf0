"""One decision for each node, out of what several kinds of evidence say."""

from collections.abc import Mapping

import msgspec
import pytest

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.hierarchy.module_tree import Module, ModuleTree
from modelexport.hierarchy.tags import Tagger
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.decisions import Decision, Match, decide, with_source_lines
from modelexport.rewriter.matching.evidence.claims import Claim, Claims
from tests.helpers.handmade import parse

TEXT = """g (float[2] x) => (float[2] c) {
    [k] k = Constant <value_float = 1.0> ()
    [a] a = Add (x, k)
    [b] b = Tanh (a)
    [c] c = Identity (b)
}"""
GRAPH = ModelGraph(parse(TEXT))
TREE = ModuleTree(Module(path, "Part", calls=1) for path in ("", "m", "n"))
NAMES = {node.name: key for key, node in zip(GRAPH.keys, GRAPH.nodes, strict=True)}


def claims(kind: str = "values", **modules: str) -> Claims:
    return Claims({NAMES[name]: Claim(module, kind) for name, module in modules.items()})


def by_name(texts: Mapping[str, str]) -> dict[NodeKey, str]:
    return {NAMES[name]: text for name, text in texts.items()}


def decided(*kinds: Claims, **options: bool) -> dict[str, Decision]:
    decisions = decide(GRAPH, TREE, kinds, **options)
    assert [decision.key for decision in decisions] == GRAPH.keys
    return {decision.name: decision for decision in decisions}


def test_a_decision_has_the_node_and_the_claim() -> None:
    """Its address, name and operator; module, evidence, covers and call."""
    claim = Claim("m", "values", ("m", "n"), 3)
    actual = decided(Claims({NAMES["a"]: claim}), propagation=False)["a"]
    assert actual == Decision(
        *("", 1, "a", "Add"), module="m", evidence="values", covers=("m", "n"), call=3
    )


def test_the_strongest_claim_has_the_node() -> None:
    """A weaker claim of another module is a contradiction, one of the same is not."""
    actual = decided(
        claims("names", a="m", b="m"), claims("weights", a="n", b="m"), claims("values", a="")
    )
    assert (actual["a"].module, actual["a"].evidence) == ("m", "names")
    assert actual["a"].contradictions == ("weights says n", "values says the root")
    assert (actual["b"].module, actual["b"].contradictions) == ("m", ())


def test_what_was_overruled_is_a_contradiction_as_well() -> None:
    """Behind the claims of others; of an open node there is nothing to contradict."""
    overruled = Claims(overruled=by_name({"a": "names say n", "b": "names say m"}))
    actual = decided(overruled, claims(a="m"), claims("structure", a="n"), propagation=False)
    assert actual["a"].contradictions == ("structure says n", "names say n")
    assert actual["b"] == Decision("", 2, "b", "Tanh", reason="no evidence speaks of it")


def test_an_open_node_has_all_reasons() -> None:
    """Of the kinds in their order, of nodes without a module, and of propagation."""
    first = Claims(reasons=by_name({"b": "one", "a": "other"}))
    second = Claims(reasons=by_name({"b": "two"}), without_module=by_name({"b": "three"}))
    actual = decided(first, second, propagation=False)
    assert (actual["b"].reason, actual["a"].reason) == ("one; two; three", "other")
    assert actual["k"].reason == "no evidence speaks of it"
    spread = decided(claims(a="m"), first)
    assert spread["b"].reason == (
        "one; it computes, and its neighbours are of several modules or unresolved"
    )
    assert spread["a"].reason is None


def test_propagation_fills_in_what_lies_between() -> None:
    """Unless it may not speak."""
    actual = decided(claims(a="m", b="n"))
    assert {name: d.module for name, d in actual.items()} == {
        "k": "m",
        "a": "m",
        "b": "n",
        "c": "n",
    }
    assert actual["c"].evidence == EvidenceKind.PROPAGATION
    silent = decided(claims(a="m", b="n"), propagation=False)
    assert (silent["k"].module, silent["c"].module) == (None, None)


def test_a_node_without_a_module_gets_that_of_its_neighbours() -> None:
    """It is known to be of the model, whatever it computes."""
    known = Claims(without_module=by_name({"b": "its module is unknown"}))
    assert decided(claims(a="m"), known)["b"].module == "m"
    assert decided(claims(a="m"))["b"].module is None


def test_only_constants_follow_where_evidence_leaves_modules_out() -> None:
    """An identity behind a computation may be of a module that nothing is known of."""
    actual = decided(claims(a="m", b="n"), constants_only=True)
    assert (actual["k"].module, actual["c"].module) == ("m", None)
    assert actual["c"].reason == "no evidence speaks of it"


@pytest.mark.parametrize("evidence", [None, "values"])
def test_a_match_counts_its_evidence(evidence: str | None) -> None:
    """Of settled nodes."""
    decision = Decision("", 0, "a", "Add", evidence=evidence)
    match = Match([decision, decision], TREE, {}, "record")
    assert match.counts() == ({"values": 2} if evidence else {})
    assert match.notes == ()


def test_a_tagged_match_has_the_tag_of_each_resolved_node() -> None:
    """All else stays; an open node has no tag."""
    resolved = Decision("", 0, "a", "Add", module="m", evidence="values")
    unresolved = Decision("", 1, "b", "Tanh", reason="no evidence speaks of it")
    match = Match([resolved, unresolved], TREE, {"w": "m.w"}, "record", ("note",))
    tagged = match.tagged(Tagger(TREE))
    assert tagged.decisions == [msgspec.structs.replace(resolved, tag="/Part/m"), unresolved]
    assert msgspec.structs.replace(tagged, decisions=match.decisions) == match


def test_decisions_get_the_source_lines_of_their_nodes() -> None:
    """Those of nodes without lines stay as they are."""
    decisions = list(decided(claims(a="m"), propagation=False).values())
    lines = {NAMES["a"]: ("net.py:12",), NAMES["b"]: ()}
    actual = {decision.name: decision for decision in with_source_lines(decisions, lines)}
    expected = [msgspec.structs.replace(d, source_lines=lines.get(d.key, ())) for d in decisions]
    assert list(actual.values()) == expected
    assert actual["a"].source_lines == ("net.py:12",)


def test_neighbours_of_a_node_of_a_new_module_do_not_tell_its_module() -> None:
    """Also where the node only passes a value on."""
    settled = claims(a="m", b="m").by_node
    assert decided(Claims(settled))["c"].module == "m"
    assert decided(Claims(settled, not_recorded={NAMES["c"]}))["c"].module is None
