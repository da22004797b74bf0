"""One of the two files of a comparison, with the module of every node."""

from collections import Counter
from functools import cached_property
from pathlib import Path

import onnx

from modelexport.hierarchy.graph_paths import op_type
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.rewriter.analysis.costs import StoredWeight, stored_weights
from modelexport.rewriter.annotation.model_file import ModelFile
from modelexport.rewriter.container import OnnxContainer, SessionSource
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching import CarriedHierarchy, Claim


class ComparedFile:
    """One file of a comparison.

    Args:
        file: The file, opened. Functions that folding made are inlined in its graph.
        index: 0 for the first file, 1 for the second.
        hierarchy: Its modules, and the module of each node.

    Attributes:
        index, hierarchy: As given.
    """

    def __init__(self, file: ModelFile, index: int, hierarchy: CarriedHierarchy) -> None:
        self._file = file
        self.index = index
        self.hierarchy = hierarchy

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._file.path

    @property
    def container(self) -> OnnxContainer:
        """The opened file; it gives the weights."""
        return self._file.container

    @property
    def model(self) -> onnx.ModelProto:
        """Its model."""
        return self._file.model

    @property
    def graph(self) -> ModelGraph:
        """The indexed view of its graph."""
        return self._file.graph

    def session_source(self) -> SessionSource:
        """Its model in the form that onnxruntime loads."""
        return self._file.session_source()

    @cached_property
    def tree(self) -> ModuleTree:
        """Its modules."""
        return ModuleTree(self.hierarchy.modules)

    @cached_property
    def claims(self) -> list[Claim | None]:
        """The module of each node, in the order of the graph; None for nodes without one."""
        by_node = self.hierarchy.claims.by_node
        return [by_node.get(key) for key in self.graph.keys]

    @cached_property
    def op_types(self) -> list[str]:
        """Operator of each node, in the order of the graph."""
        return list(map(op_type, self.graph.nodes))

    @cached_property
    def weights(self) -> list[StoredWeight]:
        """The weights that it stores."""
        modules = [None if claim is None else claim.module for claim in self.claims]
        return stored_weights(self.model, self.graph, self.tree, modules, self.hierarchy.parameters)

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
