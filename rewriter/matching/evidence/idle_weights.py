"""Weights of modules that did not run when the record was made: weights of another part."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from modelexport.hierarchy.record import Record
from modelexport.rewriter.matching.thresholds import MOST_IDLE_SHARE


@dataclass(frozen=True)
class IdleWeights:
    """The weights of a file that belong to modules without a recorded op.

    Attributes:
        values: The weights.
        matrices: Those of them that are matrices.
        example: The module of the first matrix; None when there is none.
        compared: Matrices of the file that are recorded weights, these included.
    """

    values: frozenset[int] = frozenset()
    matrices: int = 0
    example: str | None = None
    compared: int = 0

    @property
    def prevail(self) -> bool:
        """Whether the file is another part of the model than the one that was recorded."""
        return self.matrices > MOST_IDLE_SHARE * self.compared

    def describe(self) -> str:
        """What was found, for a person."""
        return (
            f"{self.matrices} of the {self.compared} matrices that were found belong to modules "
            f"that did not run when it was made, such as {self.example}"
        )


def find_idle_weights(
    record: Record,
    candidates: Mapping[int, Collection[int]],
    absent: Collection[int],
    owners: Mapping[int, str],
    matrices: Collection[int],
) -> IdleWeights:
    """Weights of a file whose module is known, but has no recorded op.

    An exporter that folds one weight into another takes it out of the recorded file, too. Then the
    module has an op, or is among the other modules of one.

    Args:
        record: The record.
        candidates: Weights of the file to the recorded weights that they may be.
        absent: Recorded weights that the recorded file did not have.
        owners: Weights of the file to the module whose parameter they hold.
        matrices: Weights of the file that are matrices.
    """
    ran = {module for op in record.ops for module in (op.module, *op.also)}
    ran |= {record.tree.canonical(module) for module in ran if module is not None}
    idle = [
        value
        for value, labels in candidates.items()
        if value in owners and owners[value] not in ran and all(label in absent for label in labels)
    ]
    idle_matrices = [value for value in idle if value in matrices]
    return IdleWeights(
        frozenset(idle),
        len(idle_matrices),
        owners[idle_matrices[0]] if idle_matrices else None,
        sum(value in matrices for value in candidates),
    )
