"""Which parameter each initializer holds, and which module owns that parameter."""

import math
from collections.abc import Iterable, Mapping
from functools import cached_property

import onnx

from modelexport.hierarchy.graph_paths import LocatedGraph, walk_graphs
from modelexport.hierarchy.module_tree import ModuleTree

Shape = tuple[int, ...]


def initializer_shapes(graphs: Iterable[LocatedGraph]) -> dict[str, Shape]:
    """Name and shape of every initializer.

    Args:
        graphs: The graphs of the model, as `walk_graphs` gives them.
    """
    return {
        initializer.name: tuple(initializer.dims)
        for place in graphs
        if isinstance(place.graph, onnx.GraphProto)
        for initializer in place.graph.initializer
    }


class InitializerParameters:
    """Maps initializers to the parameters that they hold, and to the modules that own these.

    A name is believed only where the sizes agree: an optimiser may keep the name of an
    initializer and change its content.

    Args:
        model: The model.
        tree: Its modules.
        claimed: Initializer name to parameter, as a record or the file says. An initializer that
            is not in it is taken to have the name of its parameter.
        graphs: The graphs of the model, as `walk_graphs` gives them, where they are known.

    Attributes:
        shapes: Shape of each initializer by its name.
        parameters: Initializer name to the qualified name of the parameter that it holds.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        tree: ModuleTree,
        claimed: Mapping[str, str] | None = None,
        graphs: Iterable[LocatedGraph] | None = None,
    ) -> None:
        claimed = claimed or {}
        self._tree = tree
        self._parameter_shapes = _parameter_shapes(tree)
        self.shapes = initializer_shapes(walk_graphs(model) if graphs is None else graphs)
        self.parameters = {
            name: parameter
            for name, shape in self.shapes.items()
            if self._fits(parameter := claimed.get(name, name), shape)
        }

    def _fits(self, parameter: str, shape: Shape) -> bool:
        """Whether an initializer of this shape can hold the parameter.

        A tree that was read from tags has no parameters; there, the module's path decides.
        """
        if not self._parameter_shapes:
            return "." in parameter and parameter.rpartition(".")[0] in self._tree
        expected = self._parameter_shapes.get(parameter)
        return expected is not None and math.prod(expected) == math.prod(shape)

    def owner(self, initializer: str) -> str | None:
        """Path of the module that owns the parameter of an initializer; None when unknown."""
        parameter = self.parameters.get(initializer)
        return None if parameter is None else self._tree.canonical(parameter.rpartition(".")[0])

    def absent(self) -> dict[str, Shape]:
        """Name and shape of the parameters that no initializer holds.

        These were folded into other initializers, or are not used. A parameter that is tied to
        one that is held is not among them.
        """
        return {
            parameter: shape
            for parameter, shape in self._parameter_shapes.items()
            if not self.has_initializer(parameter)
        }

    def has_initializer(self, parameter: str) -> bool:
        """Whether an initializer holds a parameter, under any path of its module."""
        return self._canonical(parameter) in self._parameters_in_file

    @cached_property
    def _parameters_in_file(self) -> set[tuple[str, str]]:
        return {self._canonical(parameter) for parameter in self.parameters.values()}

    def _canonical(self, parameter: str) -> tuple[str, str]:
        """First path of the parameter's module, and the parameter's name in it."""
        path, _, name = parameter.rpartition(".")
        return self._tree.canonical(path), name


def _parameter_shapes(tree: ModuleTree) -> dict[str, Shape]:
    """Shape of every parameter and buffer by its qualified name, under each of its paths."""
    return {
        f"{module.path}.{parameter.name}" if module.path else parameter.name: parameter.shape
        for module in tree
        for parameter in (*module.parameters, *module.buffers)
    }
