"""Whether a weight holds the numbers of a recorded one: as they are, or rounded."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from enum import Enum, auto
from typing import NamedTuple

from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.record import Tensor
from modelexport.rewriter.matching.evidence.retraining import (
    greatest_rounding,
    number_distance,
    rounds_to,
)
from modelexport.rewriter.matching.evidence.weight_sketches import RecordedWeights
from modelexport.rewriter.matching.thresholds import EXACT_WEIGHT


class Agreement(Enum):
    """How a weight holds recorded numbers."""

    EXACT = auto()
    ROUNDED = auto()


def compare_numbers(array: Array, tensor: Tensor, *, full_precision: bool) -> Agreement | None:
    """How a weight holds the recorded numbers, in the precision in which it is stored.

    Args:
        array: The weight, of any shape.
        tensor: The recorded weight.
        full_precision: Whether it is stored in 32 bits or more.

    Returns:
        None where it holds other numbers.
    """
    recorded = tensor.weight
    distance = None if recorded is None else number_distance(array, recorded)
    if recorded is None or distance is None:
        return None
    if distance <= EXACT_WEIGHT:
        return Agreement.EXACT
    if full_precision and distance > greatest_rounding(array, recorded):
        return None
    has_direction = RecordedWeights([0], [tensor]).match([array])[0].labels
    return Agreement.ROUNDED if has_direction or rounds_to(recorded, array) else None


class ComparedWeight(NamedTuple):
    """How a weight compares with the recorded ones that it may be.

    Attributes:
        name: Its name.
        full_precision: Whether it is stored in 32 bits or more.
        agreements: How it holds the numbers of each; None for other numbers.
    """

    name: str
    full_precision: bool
    agreements: AbstractSet[Agreement | None]


class ComparedSample(NamedTuple):
    """How a sample of weights compares with the recorded numbers.

    Attributes:
        compared: How many were compared.
        differing: Names of those that hold other numbers.
        has_few_digits: Whether some in full precision hold numbers that were rounded to 16 bits.
    """

    compared: int
    differing: tuple[str, ...]
    has_few_digits: bool

    @classmethod
    def of(cls, compared: int, weights: Iterable[ComparedWeight]) -> "ComparedSample":
        """Sum up.

        Args:
            compared: How many were compared.
            weights: Those of them that may hold other numbers.
        """
        differing, has_few_digits = [], False
        for weight in weights:
            agreements = weight.agreements - {None}
            if not agreements:
                differing.append(weight.name)
            elif weight.full_precision and agreements == {Agreement.ROUNDED}:
                has_few_digits = True
        return cls(compared, tuple(differing), has_few_digits)

    def joined(self, other: "ComparedSample") -> "ComparedSample":
        """Both samples as one."""
        return ComparedSample(
            self.compared + other.compared,
            (*self.differing, *other.differing),
            self.has_few_digits or other.has_few_digits,
        )
