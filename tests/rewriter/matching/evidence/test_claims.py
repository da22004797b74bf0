"""What a recorded op says of the node that it is."""

import pytest

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.module_tree import Module, ModuleTree
from modelexport.hierarchy.record import Op
from modelexport.rewriter.matching.evidence.claims import Claim, claim_of

TREE = ModuleTree(Module(path, "Part", calls=1) for path in ("", "a", "a.b", "a.c"))


def op(*also: str) -> Op:
    return Op("", 0, "n", "Conv", ("y",), call=2, also=also)


def test_an_op_of_one_module_claims_it_with_the_call() -> None:
    """It covers nothing else."""
    actual = claim_of(op(), "a.b", EvidenceKind.NAMES, TREE)
    assert actual == Claim("a.b", "names", (), 2)


@pytest.mark.parametrize(
    ("module", "also", "ancestor", "call"),
    [("a.b", "a.c", "a", None), ("a.c", "a.b", "a", None), ("a", "a.b", "a", 2)],
)
def test_an_op_of_several_modules_claims_their_ancestor(
    module: str, also: str, ancestor: str, call: int | None
) -> None:
    """And covers them all; the call is known only if the ancestor is the op's own module."""
    actual = claim_of(op(also), module, EvidenceKind.IDENTITY, TREE)
    assert actual == Claim(ancestor, "identity", tuple(sorted({module, also})), call)
