"""What paired and anchored nodes say about the recorded ops around an open node."""

import pytest

from modelexport.rewriter.matching.alignment.paired_neighbours import PairedNeighbours
from modelexport.rewriter.matching.alignment.spans import Span
from tests.helpers.aligned import Aligned, numbers

FILE = "g (float[2, 8] x) => (float[2, 8] b) { [step] b = Sin (x) }"
RECORD = """g (float[2, 8] x) => (float[2, 8] b) {
    [first] a = Relu (x)
    [second] b = Tanh (a)
}"""


@pytest.mark.parametrize("exact", [True, False])
def test_steps_count_only_where_values_are_not_exact(*, exact: bool) -> None:
    """In a quantised file a node may do one step of its op: only what the op reads is done then."""
    values = {"b": numbers(1, (2, 8))}
    case = Aligned(FILE, RECORD, file_values=values, record_values=values, rejects_mismatch=exact)
    node, first, second = case.node("step"), case.op("first"), case.op("second")
    spans = {node: Span((second,), frozenset(), closed=False)}
    paired = PairedNeighbours(case.graphs, {node: second}, spans, {}, set())
    anchored = PairedNeighbours(case.graphs, {}, {}, {node: (second,)}, set())
    expected = [second] if exact else [first]
    assert list(paired.ops_before(node)) == expected
    assert list(anchored.ops_before(node)) == expected
    assert list(anchored.ops_behind(node, set())) == expected
