"""Figures of nodes and weights that add up."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
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

    op_types: Counter[str] = field(default_factory=Counter)
    evidence: Counter[str] = field(default_factory=Counter)
    macs: int = 0
    unknown_macs: int = 0
    activation_bytes: int = 0
    unknown_activations: int = 0
    weight_bytes: int = 0
    parameters: int = 0

    @property
    def nodes(self) -> int:
        """Number of nodes."""
        return self.op_types.total()

    @property
    def empty(self) -> bool:
        """Whether there are no nodes and no weights."""
        return not (self.op_types or self.parameters or self.weight_bytes)

    def add(self, other: "Totals") -> None:
        """Add the figures of others to these."""
        self.op_types.update(other.op_types)
        self.evidence.update(other.evidence)
        self.macs += other.macs
        self.unknown_macs += other.unknown_macs
        self.activation_bytes += other.activation_bytes
        self.unknown_activations += other.unknown_activations
        self.weight_bytes += other.weight_bytes
        self.parameters += other.parameters
