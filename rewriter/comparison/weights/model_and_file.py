"""The changed weights of a file against a model in torch."""

from collections.abc import Callable

from modelexport.hierarchy.module_values import ModelValues
from modelexport.rewriter.comparison.compared_file import ComparedFile
from modelexport.rewriter.comparison.weights.merged_weights import ModelWeights
from modelexport.rewriter.comparison.weights.results import ChangedWeight
from modelexport.rewriter.comparison.weights.weight_differences import find_changed_weights
from modelexport.rewriter.comparison.weights.weight_numbers import WeightReader


def changed_from_model(
    file: ComparedFile, values: ModelValues, tag: Callable[[str], str | None]
) -> list[ChangedWeight]:
    """The weights of a file that are not those of a model, rounded.

    Args:
        file: The file.
        values: A run of the model, with its weights.
        tag: The tag of a module by its path; None for one that is not shown.
    """
    return find_changed_weights(WeightReader(file), ModelWeights(values).of, tag)
