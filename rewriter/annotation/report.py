"""The report of an annotation: every decision, and counts of them."""

from collections import Counter

import msgspec

from modelexport.rewriter.folding import FoldReport
from modelexport.rewriter.matching import Decision


class AnnotateReport(msgspec.Struct, frozen=True):
    """What `annotate` did.

    Attributes:
        file: Base name of the file that was annotated.
        output: Base name of the file that was written; None when none was.
        source: Where the modules come from: the record, or what the file carries.
        nodes, resolved, unresolved: Counts of nodes, those in subgraphs and functions included.
        evidence: Number of nodes that each kind of evidence settled.
        notes: What the user should know beyond that.
        folding: What became functions, when these were asked for.
        decisions: One for each node.
    """

    file: str
    output: str | None
    source: str
    nodes: int
    resolved: int
    unresolved: int
    evidence: dict[str, int]
    notes: tuple[str, ...]
    decisions: list[Decision]
    folding: FoldReport | None = None

    @property
    def contradicted(self) -> int:
        """Number of nodes about which kinds of evidence contradict each other."""
        return sum(1 for decision in self.decisions if decision.contradictions)

    def reasons(self) -> dict[str, int]:
        """Why nodes are unresolved, with the number of nodes; the most frequent reason first."""
        counts = Counter(d.reason or "" for d in self.decisions if d.tag is None)
        return dict(counts.most_common())

    def to_json(self) -> bytes:
        """The report as JSON, one line for each decision."""
        text = msgspec.json.encode(self)
        return text.replace(b'},{"graph":', b'},\n{"graph":') + b"\n"
