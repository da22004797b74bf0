"""The main module of a fused node: the only module whose weights it reads."""

from functools import cached_property

from modelexport.rewriter.comparison.compared_file import ComparedFile
from modelexport.rewriter.graph.initializer_parameters import InitializerParameters


class FusedNodes:
    """Finds the modules of the fused nodes of a file.

    Args:
        file: The file.
    """

    def __init__(self, file: ComparedFile) -> None:
        self._file = file

    @cached_property
    def _parameters(self) -> InitializerParameters:
        file = self._file
        return InitializerParameters(file.model, file.tree, file.hierarchy.parameters)

    def module(self, node: int) -> str | None:
        """The module of a node; of a fused one, the only module whose weights it reads.

        If it reads weights of several modules or of none, it is the module in its tag. None for
        nodes without a module.

        Args:
            node: Number of the node.
        """
        claim = self._file.claims[node]
        if claim is None:
            return None
        if not claim.covers:
            return claim.module
        names = self._file.graph.nodes[node].input
        owners = {owner for name in names if (owner := self._parameters.owner(name)) is not None}
        owners &= set(claim.covers)
        return owners.pop() if len(owners) == 1 else claim.module
