"""The changed weights of a file against a model in torch."""

from collections.abc import Callable

from modelexport.hierarchy.module_values import SCALE, SHIFT, ModelValues
from modelexport.rewriter.comparison.compared_file import ComparedFile
from modelexport.rewriter.comparison.weights.reference_weights import (
    BatchNorm,
    Owners,
    ReferenceWeight,
    ReferenceWeights,
)
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
    return find_changed_weights(WeightReader(file), _reference_weights(values), str, tag)


def _reference_weights(values: ModelValues) -> ReferenceWeights:
    """The weights of a model by the paths of its modules."""
    norms = {
        path: BatchNorm(sources[SCALE], sources[SHIFT])
        for path, sources in values.weights.items()
        if SCALE in sources
    }
    norm_behind = {
        values.calls[source].path: call.path
        for call in values.calls
        if call.path in norms
        for sources in call.sources
        for source in sources
    }
    return ReferenceWeights(_weights(values), norms, norm_behind)


def _weights(values: ModelValues) -> dict[Owners, list[ReferenceWeight]]:
    """The weights by the paths of their modules."""
    weights: dict[Owners, list[ReferenceWeight]] = {}
    for path, sources in values.weights.items():
        for name, source in sources.items():
            if name not in {SCALE, SHIFT}:
                owner = values.shared_weights.get((path, name), path)
                weight = ReferenceWeight(name, frozenset({path}), source, (owner, name))
                weights.setdefault(weight.owners, []).append(weight)
    return weights
