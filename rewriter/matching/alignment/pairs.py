"""The pairs of nodes and recorded ops that are found so far."""

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.rewriter.matching.alignment.spans import Span


class Pairs:
    """A growing mapping from nodes to recorded ops. Several nodes may be paired with one op.

    Attributes:
        ops: The recorded op of each paired node.
        evidence: The kind of evidence for each pair.
        spans: Pair of a node and an op to the ops whose work the node does, where that is known
            from the start.
    """

    def __init__(self) -> None:
        self.ops: dict[int, int] = {}
        self.evidence: dict[int, EvidenceKind] = {}
        self.spans: dict[tuple[int, int], Span] = {}
        self._taken: set[int] = set()

    def __contains__(self, node: int) -> bool:
        return node in self.ops

    def add_pair(self, node: int, op: int, evidence: EvidenceKind) -> None:
        """Pair a node with a recorded op."""
        self.ops[node] = op
        self.evidence[node] = evidence
        self._taken.add(op)

    def add_span(self, node: int, span: Span, evidence: EvidenceKind) -> None:
        """Pair a node that does the work of several ops with the last one of them."""
        last = span.ops[0]
        self.add_pair(node, last, evidence)
        self.spans[node, last] = span
        self._taken.update(span.ops)

    def is_free(self, op: int) -> bool:
        """Whether no node is known to do the work of a recorded op."""
        return op not in self._taken
