"""The pairs that are found so far."""

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.rewriter.matching.alignment.pairs import Pairs
from modelexport.rewriter.matching.alignment.spans import Span

NODE, OP, OTHER = 1, 2, 3


def test_a_pair_has_its_op_and_its_evidence() -> None:
    """A paired node is in the mapping, with the op and the kind of evidence."""
    pairs = Pairs()
    assert NODE not in pairs
    pairs.add_pair(NODE, OP, EvidenceKind.NAMES)
    assert NODE in pairs
    assert (pairs.ops, pairs.evidence) == ({NODE: OP}, {NODE: EvidenceKind.NAMES})
    assert pairs.spans == {}


def test_an_op_that_is_paired_is_not_free() -> None:
    """The op of a pair is taken, other ops are free."""
    pairs = Pairs()
    pairs.add_pair(NODE, OP, EvidenceKind.NAMES)
    assert [pairs.is_free(op) for op in (OP, OTHER)] == [False, True]


def test_a_span_is_paired_with_its_last_op() -> None:
    """A node that does several ops is paired with the last one, and takes all of them."""
    pairs = Pairs()
    span = Span((OP, OTHER), frozenset(), closed=True)
    pairs.add_span(NODE, span, EvidenceKind.WEIGHTS)
    assert (pairs.ops, pairs.evidence) == ({NODE: OP}, {NODE: EvidenceKind.WEIGHTS})
    assert pairs.spans == {(NODE, OP): span}
    assert [pairs.is_free(op) for op in (OP, OTHER, OTHER + 1)] == [False, False, True]
