"""An opened file with its hierarchy: the module, the call and the covers of every node.

This is how every command opens a file that uses the hierarchy: an annotated file, or any file of
the model together with a record or an annotated file.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Unpack

import onnx

from modelexport.hierarchy.module_tree import ModuleTree, is_within
from modelexport.hierarchy.place_options import PlaceKeywords, PlaceOptions
from modelexport.hierarchy.record import read_record
from modelexport.hierarchy.tags import Tagger
from modelexport.rewriter.annotation.find_module import find_module
from modelexport.rewriter.annotation.model_file import ModelFile
from modelexport.rewriter.annotation.node_calls import node_calls
from modelexport.rewriter.annotation.node_placement import PlacementSources, place_nodes
from modelexport.rewriter.container import OnnxContainer, SessionSource
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching import CarriedHierarchy, Claim


class PlacedFile:
    """An opened file, with the module of every node. Made by `PlacedFile.open`.

    Functions that folding made are inlined in its model and graph. Nodes have numbers: their
    positions in `graph`, which lists those of subgraphs too.

    Args:
        file: The file, opened.
        hierarchy: Its modules, and the module of each node.
        notes: What the user should know about where the hierarchy comes from.
        libraries: Custom operator libraries that onnxruntime loads before it runs the file.

    Attributes:
        file, hierarchy, notes, libraries: As given.
    """

    def __init__(
        self,
        file: ModelFile,
        hierarchy: CarriedHierarchy,
        notes: tuple[str, ...] = (),
        libraries: tuple[str, ...] = (),
    ) -> None:
        self.file, self.hierarchy, self.notes = file, hierarchy, notes
        self.libraries = libraries

    @classmethod
    @contextmanager
    def open(cls, path: str | Path, **placement: Unpack[PlaceKeywords]) -> Iterator["PlacedFile"]:
        """Open a file and find the module of every node.

        Args:
            path: The file.
            placement: How the modules are found: `PlaceOptions` by name.

        Raises:
            FileProblem: A file cannot be read.
            ForeignRecordError: The record, or the annotated file, is of another model.
            UsageError: There is no way to know the modules of the file.
        """
        options = PlaceOptions(**placement)
        record = options.record
        if isinstance(record, str | Path):
            record = read_record(Path(record))
        with ExitStack() as stack:
            file = stack.enter_context(ModelFile.open(path))
            annotated = None
            if options.inherit_from is not None:
                annotated = stack.enter_context(ModelFile.open(options.inherit_from))
            placed = place_nodes(file, PlacementSources(record, annotated, options.matching))
            note = () if placed.note is None else (placed.note,)
            notes = (*note, *placed.hierarchy.notes)
            yield cls(file, placed.hierarchy, notes, tuple(map(str, options.libraries)))

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self.file.path

    @property
    def container(self) -> OnnxContainer:
        """The opened file; it gives the weights."""
        return self.file.container

    @property
    def model(self) -> onnx.ModelProto:
        """Its model; the weights are left out."""
        return self.file.model

    @property
    def graph(self) -> ModelGraph:
        """The indexed view of its graph."""
        return self.file.graph

    def session_source(self) -> SessionSource:
        """Its model in the form that onnxruntime loads."""
        return self.file.session_source()

    @cached_property
    def tree(self) -> ModuleTree:
        """Its modules."""
        return self.hierarchy.tree

    @cached_property
    def tagger(self) -> Tagger:
        """Writes the paths of its modules as tags."""
        return self.hierarchy.tagger

    @cached_property
    def claims(self) -> list[Claim | None]:
        """Module, call and covers of each node, in the order of the graph; None without a module.

        A module with several paths has its first path here.
        """
        by_node = self.hierarchy.claims.by_node
        return [by_node.get(key) for key in self.graph.keys]

    @cached_property
    def modules(self) -> list[str | None]:
        """Path of the module of each node; None for nodes without a module."""
        return [None if claim is None else claim.module for claim in self.claims]

    @cached_property
    def source_lines(self) -> list[tuple[str, ...]]:
        """Lines of Python (`file:line`) behind each node, in the order of the graph.

        A file has them that was annotated with `source_lines`, or matched with a record.
        """
        lines = self.hierarchy.source_lines
        return [lines.get(key, ()) for key in self.graph.keys]

    @cached_property
    def op_types(self) -> list[str]:
        """Operator of each node, in the order of the graph."""
        return self.graph.op_types

    def tag(self, node: int) -> str | None:
        """The tag of a node's module; None for a node without a module."""
        module = self.modules[node]
        return None if module is None else self.tagger.tag(module)

    def find_module(self, name: str) -> str:
        """The path of the module that a user names by its path or its tag.

        Raises:
            UsageError: There is no such module.
        """
        return find_module(name, self.tagger, str(self.path))

    def nodes_of(self, path: str, call: int | None = None) -> list[int]:
        """The nodes of a module and of the modules inside it.

        Args:
            path: Path of the module.
            call: Only nodes of this call of it, from 0; None for all.
        """
        path = self.tagger.resolve(path)
        inside = [
            number
            for number, claim in enumerate(self.claims)
            if claim is not None and is_within(claim.module, path)
        ]
        return [n for n in inside if call is None or call == self.call_of(n, path)]

    def call_of(self, node: int, path: str) -> int:
        """In which call of a module a node inside it ran, from 0.

        If an inner module is called several times, each call of the outer module is assumed to call
        it equally often.
        """
        module, call = self.modules[node], self._calls[node]
        if module is None or module not in self.tree or path not in self.tree:
            return call
        inner, outer = self.tree[module].calls or 0, self.tree[path].calls or 0
        return call // (inner // outer) if outer and inner > outer and not inner % outer else call

    @cached_property
    def _calls(self) -> list[int]:
        """The call of each node's module, in the order of the graph."""
        return node_calls(self.graph, self.claims, self.tree)
