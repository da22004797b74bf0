"""The traced file itself: its digest is the record's, and every op is the node at its place."""

import msgspec
import pytest

from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.rewriter.matching.evidence import identity
from modelexport.rewriter.matching.evidence.claims import Claim
from modelexport.rewriter.matching.evidence.identity import (
    UNKNOWN_SCOPE,
    identity_claims,
    is_traced_graph,
)
from tests.helpers.handmade import parse, record_of

TEXT = "g (float[2] x) => (float[2] b) { [one] a = Relu (x) [two] b = Tanh (a) }"


def test_the_traced_graph_is_recognised_by_its_digest() -> None:
    """Another operator makes another digest, equal names or not."""
    record = record_of(parse(TEXT), {"": "Net"}, ["", ""])
    assert is_traced_graph(parse(TEXT), record)
    assert not is_traced_graph(parse(TEXT.replace("Tanh", "Sin")), record)


@pytest.mark.parametrize("change", [("two", "other"), ("a)", "c)"), ("b", "d")])
def test_another_name_is_seen_without_a_digest(
    change: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name of a node or of an output tells at once."""
    record = record_of(parse(TEXT), {"": "Net"}, ["", ""])
    text = TEXT.replace(*change).replace("a =", "c =" if change[0] == "a)" else "a =")
    monkeypatch.setattr(identity, "graph_digest", lambda _: record.digest)
    assert is_traced_graph(parse(TEXT), record)
    assert not is_traced_graph(parse(text), record)


def test_a_file_of_more_nodes_is_another_graph() -> None:
    """Equal names at the beginning are not enough."""
    record = record_of(parse(TEXT), {"": "Net"}, ["", ""])
    assert not is_traced_graph(parse(TEXT.replace("}", "[new] c = Exp (b) }")), record)


def test_each_op_claims_the_node_at_its_place() -> None:
    """With its call; the reason where its module is not known."""
    record = record_of(parse(TEXT), {"": "Net", "part": "Part"}, ["part", None])
    first = msgspec.structs.replace(record.ops[0], call=3, graph="0.body", index=5)
    record = msgspec.structs.replace(record, ops=(first, record.ops[1]))
    claims = identity_claims(record)
    assert claims.by_node == {NodeKey("0.body", 5): Claim("part", "identity", call=3)}
    assert claims.without_module == {NodeKey("", 1): UNKNOWN_SCOPE}
    assert UNKNOWN_SCOPE == "the record does not know its module"


def test_an_op_that_does_the_work_of_several_modules_covers_them() -> None:
    """The exporter folded one into the other; their common ancestor is the node's module."""
    record = record_of(parse(TEXT), {"": "Net", "a": "Net", "a.b": "Part", "a.c": "Part"}, ["", ""])
    first = msgspec.structs.replace(record.ops[0], module="a.b", also=("a.c",))
    record = msgspec.structs.replace(record, ops=(first,))
    assert identity_claims(record).by_node == {
        NodeKey("", 0): Claim("", "identity", ("a.b", "a.c"))
    }
