"""One of the two files of a comparison, with the module of every node."""

from collections import Counter
from functools import cached_property

from modelexport.rewriter.analysis.costs import StoredWeight, stored_weights
from modelexport.rewriter.annotation.model_file import ModelFile
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.matching import CarriedHierarchy


class ComparedFile(PlacedFile):
    """One file of a comparison.

    Args:
        file: The file, opened. Functions that folding made are inlined in its graph.
        index: 0 for the first file, 1 for the second.
        hierarchy: Its modules, and the module of each node.

    Attributes:
        index: As given.
    """

    def __init__(self, file: ModelFile, index: int, hierarchy: CarriedHierarchy) -> None:
        super().__init__(file, hierarchy)
        self.index = index

    @cached_property
    def weights(self) -> list[StoredWeight]:
        """The weights that it stores."""
        return stored_weights(
            self.model, self.graph, self.tree, self.modules, self.hierarchy.parameters
        )

    @property
    def output_names(self) -> list[str]:
        """The outputs of its graph, in order."""
        return [value.name for value in self.model.graph.output]

    def operators(self) -> Counter[str]:
        """Number of nodes of each operator."""
        return Counter(self.op_types)

    def untagged_operators(self) -> Counter[str]:
        """Number of nodes without a module, of each operator."""
        pairs = zip(self.op_types, self.claims, strict=True)
        return Counter(operator for operator, claim in pairs if claim is None)


ComparedFiles = tuple[ComparedFile, ComparedFile]
"""The first file and the second."""
