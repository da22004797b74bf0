"""An opened ONNX file, and the views of its graph that the commands share."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import onnx

from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.hierarchy.module_tree import EmbeddedTree
from modelexport.rewriter.container import OnnxContainer, SessionSource, session_source
from modelexport.rewriter.folding import folded_functions, unfolded
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.inject.names import with_earlier_names
from modelexport.rewriter.matching import CarriedHierarchy, embedded_tree, read_carried_hierarchy


class LoadedModel:
    """A model in memory, and views of it. Each view is made at its first use and then kept.

    No view is a copy unless it has to differ: nobody may change what a view gives.

    Args:
        skeleton: The model. Its weights may be left out.
        label: The path of its file, for error messages.
        original_names: Whether nodes that annotating renamed get their earlier names back in
            `model`, and so in `graph` and `carried`.
        similar: Another model, whose tags this one shares if both have the same modules.
    """

    def __init__(
        self,
        skeleton: onnx.ModelProto,
        label: str,
        *,
        original_names: bool = False,
        similar: "LoadedModel | None" = None,
    ) -> None:
        self.skeleton = skeleton
        self.label = label
        self._original_names = original_names
        self._similar = similar

    @cached_property
    def functions(self) -> list[str]:
        """Names of the functions that folding made."""
        return [function.name for function in folded_functions(self.skeleton)]

    @cached_property
    def flat(self) -> onnx.ModelProto:
        """The model with the nodes of these functions in the place of their calls."""
        return unfolded(self.skeleton, self.label)

    @property
    def folded(self) -> bool:
        """Whether folding made functions in it."""
        return self.flat is not self.skeleton

    @cached_property
    def model(self) -> onnx.ModelProto:
        """The flat model, with original names where these are wanted."""
        return with_earlier_names(self.flat, self.label) if self._original_names else self.flat

    @cached_property
    def graph(self) -> ModelGraph:
        """The indexed view of `model`."""
        return ModelGraph(self.model)

    @cached_property
    def carried(self) -> CarriedHierarchy | None:
        """The hierarchy that `model` carries; None when it carries none.

        Raises:
            FileProblem: The model has entries of ours that cannot be read.
        """
        other = None if self._similar is None else self._similar.carried
        tagger = None if other is None else other.tagger
        return read_carried_hierarchy(self.model, self.graph, self.label, tagger)

    @property
    def source_lines(self) -> dict[NodeKey, tuple[str, ...]]:
        """The lines of Python (`file:line`) behind each node that carries some.

        Files carry them that were annotated with `source_lines`.
        """
        return {} if self.carried is None else self.carried.source_lines

    @cached_property
    def embedded(self) -> EmbeddedTree | None:
        """The module tree that annotating wrote into it; None when there is none.

        Raises:
            FileProblem: The module tree cannot be read.
        """
        return embedded_tree(self.model, self.label)


class ModelFile(LoadedModel):
    """An opened ONNX file. Made by `ModelFile.open`.

    Args:
        container: The file.
        original_names, similar: See `LoadedModel`.
    """

    def __init__(
        self,
        container: OnnxContainer,
        *,
        original_names: bool = False,
        similar: LoadedModel | None = None,
    ) -> None:
        skeleton, label = container.skeleton(), str(container.path)
        super().__init__(skeleton, label, original_names=original_names, similar=similar)
        self.container = container

    @classmethod
    @contextmanager
    def open(
        cls,
        path: str | Path,
        *,
        original_names: bool = False,
        similar: LoadedModel | None = None,
    ) -> Iterator["ModelFile"]:
        """Open a file and read its skeleton; the weights are read later, where they are needed.

        Args:
            path: The file.
            original_names: See `LoadedModel`.
            similar: See `LoadedModel`.

        Raises:
            OnnxFileError: The file cannot be read, or is not a complete ONNX model.
        """
        with OnnxContainer.open(path) as container:
            yield cls(container, original_names=original_names, similar=similar)

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self.container.path

    def session_source(self) -> SessionSource:
        """`model` in the form that onnxruntime loads."""
        return session_source(self.container, self.model)
