"""Whose parameters the weights of a file are, and which of them the recorded graph has."""

from collections.abc import Mapping

from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.record import Tensor
from modelexport.rewriter.matching.evidence.weight_contents import Candidates


def find_owners(
    candidates: Candidates, tensors: Mapping[int, Tensor], tree: ModuleTree
) -> dict[int, str]:
    """The module of each weight whose candidates are all parameters of one.

    Args:
        candidates: Weights of the file to the recorded weights that they may be.
        tensors: The recorded weights.
        tree: The recorded modules.
    """
    owners = {}
    for value, labels in candidates.items():
        parameters = {tensors[label].parameter for label in labels}
        modules = {None if p is None else tree.owner(p) for p in parameters}
        if len(modules) == 1 and (owner := modules.pop()) is not None:
            owners[value] = owner
    return owners


def candidates_of_graph(count: int, candidates: Candidates) -> Candidates:
    """Candidates that the recorded graph has; the others only tell the owner.

    Args:
        count: Number of values of the recorded graph.
        candidates: Weights of the file to the recorded weights that they may be.
    """
    present = {
        value: frozenset(label for label in labels if label < count)
        for value, labels in candidates.items()
    }
    return {value: labels for value, labels in present.items() if labels}
