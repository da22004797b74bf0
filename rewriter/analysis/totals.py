"""Figures of nodes and weights that add up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter


@dataclass(slots=True)
class Totals:
    """The figures of some nodes and weights.

    Attributes:
        op_types: Number of nodes by operator.
        evidence: Number of nodes by the kind of evidence that gave them their module.
        macs: Multiply-accumulates of the nodes in one run.
        unknown_macs: Number of nodes with unknown multiply-accumulates.
        activation_bytes: Bytes of the values that the nodes compute.
        unknown_activations: Number of these values with an unknown size.
        weight_bytes: Bytes of the weights.
        parameters: Elements of the parameters.
    """

    op_types: dict[str, int] = field(default_factory=dict)
    evidence: dict[str, int] = field(default_factory=dict)
    macs: int = 0
    unknown_macs: int = 0
    activation_bytes: int = 0
    unknown_activations: int = 0
    weight_bytes: int = 0
    parameters: int = 0

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return sum(self.op_types.values())

    @property
    def empty(self) -> bool:
        """Whether there are no nodes, no work and no weights."""
        return not (self.has_work or self.parameters or self.weight_bytes)

    @property
    def has_work(self) -> bool:
        """Whether there are nodes, or multiply-accumulates of nodes that have another tag."""
        return bool(self.op_types or self.macs or self.unknown_macs)

    def add_macs(self, macs: int | None) -> None:
        """Add the multiply-accumulates of a node; None when they are unknown."""
        if macs is None:
            self.unknown_macs += 1
        else:
            self.macs += macs

    def add_node(self, op_type: str, sizes: Sequence[int | None]) -> None:
        """Add a node and the values that it computes.

        Args:
            op_type: Its operator.
            sizes: Bytes of each value that it computes; None for an unknown size.
        """
        self.op_types[op_type] = self.op_types.get(op_type, 0) + 1
        for size in sizes:
            if size is None:
                self.unknown_activations += 1
            else:
                self.activation_bytes += size

    def add(self, other: "Totals") -> None:
        """Add the figures of others to these."""
        op_types, evidence = self.op_types, self.evidence
        for name, count in other.op_types.items():
            op_types[name] = op_types.get(name, 0) + count
        for name, count in other.evidence.items():
            evidence[name] = evidence.get(name, 0) + count
        self.macs += other.macs
        self.unknown_macs += other.unknown_macs
        self.activation_bytes += other.activation_bytes
        self.unknown_activations += other.unknown_activations
        self.weight_bytes += other.weight_bytes
        self.parameters += other.parameters


def add_counts(counts: dict[str, int], others: Mapping[str, int]) -> None:
    """Add to each count that of the same name; for short mappings faster than a `Counter`."""
    for name, count in others.items():
        counts[name] = counts.get(name, 0) + count


def most_frequent_first(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts in order; equal ones stay in the order in which they were first counted."""
    if len(set(counts.values())) <= 1:
        return dict(counts)
    return dict(sorted(counts.items(), key=itemgetter(1), reverse=True))
