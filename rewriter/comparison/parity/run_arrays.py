"""The arrays that modules read and returned in a run, and which of them a value may be."""

import math
from collections.abc import Collection, Sequence

from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.module_values import ModuleValues
from modelexport.rewriter.comparison.compared_file import ComparedFile
from modelexport.rewriter.comparison.value_sketches import ValueSketches
from modelexport.rewriter.comparison.value_summary import ValueSummary


class RunArrays:
    """The arrays of a run.

    Args:
        calls: The calls of its modules.

    Attributes:
        by_id: The arrays by their identity.
    """

    def __init__(self, calls: Sequence[ModuleValues]) -> None:
        arrays = (array for call in calls for array in (*call.inputs, *call.outputs))
        self.by_id = {id(array): array for array in arrays}
        self._sketches = ValueSketches(
            {str(key): ValueSummary.of(array) for key, array in self.by_id.items()}
        )

    @property
    def sizes(self) -> set[int]:
        """The numbers of elements that they have."""
        return {array.size for array in self.by_id.values()}

    def is_other(self, array: Array, value: ValueSummary) -> bool:
        """Whether a value of a file is far from an array, and much nearer to another one."""
        return self._sketches.is_other(str(id(array)), value)

    def is_nearest(self, array: Array, value: ValueSummary) -> bool:
        """Whether no other array is nearer to a value of a file."""
        return self._sketches.is_nearest(str(id(array)), value)


def small_weights(file: ComparedFile, sizes: Collection[int]) -> dict[str, Array]:
    """The weights of a file that have one of these numbers of elements, by name."""
    weights = [w for w in file.model.graph.initializer if math.prod(w.dims) in sizes]
    arrays = ((weight.name, file.container.array(weight)) for weight in weights)
    return {name: array for name, array in arrays if array is not None}
