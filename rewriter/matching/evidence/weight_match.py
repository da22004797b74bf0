"""What the weights of a file are, compared with the recorded ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelexport.rewriter.matching.evidence.idle_weights import IdleWeights
from modelexport.rewriter.matching.thresholds import MINIMUM_WEIGHT_SHARE, RETRAINED_SHARE


@dataclass(frozen=True)
class WeightMatch:
    """Which recorded weights the weights of a file are.

    A distinctive weight is one that has a name which the record has too, or enough different
    numbers to be found by these.

    Attributes:
        candidates: Weights of the file to the recorded weights that they may be.
        merged_from: Concatenated weights of the file to the recorded weights that they are made of.
        owners: Weights of the file to the module whose parameter they hold.
        new: Distinctive weights of the file that are neither recorded weights nor another form of
            one.
        idle: Weights of modules that did not run when the record was made.
        plain: Weights of the file whose recorded numbers are all equal.
        rounded: Whether the file stores weights in fewer than 32 bits.
        has_few_digits: Whether weights in 32 bits hold numbers that were rounded to 16 bits.
        halved: Whether weights in 16 bits hold recorded numbers that were rounded to these.
        coded: Whether weights are stored as whole numbers of 8 bits or fewer.
        misnamed: Whether weights have the recorded names of other weights: modules were renamed.
        matched_elements: Elements of distinctive weights that are matched.
        distinctive_elements: Elements of all distinctive weights.
        compared: Weights in full precision that were compared with the recorded numbers.
        differing: Names of those of them that hold other numbers.
    """

    candidates: Mapping[int, frozenset[int]] = field(default_factory=dict)
    merged_from: Mapping[int, frozenset[int]] = field(default_factory=dict)
    owners: Mapping[int, str] = field(default_factory=dict)
    new: frozenset[int] = frozenset()
    idle: IdleWeights = field(default_factory=IdleWeights)
    plain: frozenset[int] = frozenset()
    rounded: bool = False
    has_few_digits: bool = False
    halved: bool = False
    coded: bool = False
    misnamed: bool = False
    matched_elements: int = 0
    distinctive_elements: int = 0
    compared: int = 0
    differing: tuple[str, ...] = ()

    @property
    def matched_share(self) -> float:
        """Share (0-1) of the elements of distinctive weights that are matched."""
        return self.matched_elements / max(1, self.distinctive_elements)

    @property
    def retrained(self) -> bool:
        """Whether the weights are those of another training of the model."""
        return len(self.differing) > RETRAINED_SHARE * self.compared

    @property
    def are_recorded_exactly(self) -> bool:
        """Whether the file holds the weights of the recorded model with all their digits."""
        exact = not (self.rounded or self.has_few_digits or self.retrained)
        return exact and self.matched_share >= MINIMUM_WEIGHT_SHARE
