"""Which parameter an initializer holds, and which module owns it."""

import math
from collections.abc import Iterable, Iterator, Mapping

import onnx

from modelexport.hierarchy.graph_paths import Place, walk_graphs
from modelexport.hierarchy.module_tree import ModuleTree

Shape = tuple[int, ...]


def initializers(model: onnx.ModelProto) -> dict[str, Shape]:
    """Name and shape of every initializer, those of subgraphs included."""
    return {
        weight.name: tuple(weight.dims)
        for place in walk_graphs(model)
        if isinstance(place.graph, onnx.GraphProto)
        for weight in place.graph.initializer
    }


def weight_names(places: Iterable[Place]) -> Iterator[tuple[str, str]]:
    """Graph path and name of every initializer of some graphs, sparse ones included."""
    for place in places:
        if isinstance(place.graph, onnx.GraphProto):
            yield from ((place.path, weight.name) for weight in place.graph.initializer)
            yield from ((place.path, w.values.name) for w in place.graph.sparse_initializer)


def parameter_shapes(tree: ModuleTree) -> dict[str, Shape]:
    """Shape of every parameter and buffer by its qualified name, under each of its paths."""
    return {
        f"{module.path}.{held.name}" if module.path else held.name: held.shape
        for module in tree
        for held in (*module.parameters, *module.buffers)
    }


class Ownership:
    """Initializers, the parameters that they hold, and the modules that own these.

    A mapping is believed while the sizes agree: an optimiser may keep a name and change
    what stands behind it.

    Args:
        model: The model.
        tree: Its modules.
        said: Initializer name to parameter, from a record or the file; others are taken to
            be called like their parameter.
    """

    def __init__(
        self, model: onnx.ModelProto, tree: ModuleTree, said: Mapping[str, str] | None = None
    ) -> None:
        said = said or {}
        self._tree = tree
        self._shapes = parameter_shapes(tree)
        self.initializers = initializers(model)
        self.parameters: dict[str, str] = {}
        for name, shape in self.initializers.items():
            parameter = said.get(name, name)
            if self._fits(parameter, shape):
                self.parameters[name] = parameter

    def _fits(self, parameter: str, shape: Shape) -> bool:
        """Whether a weight of this shape can hold the parameter.

        A tree read from tags knows no parameters; there, a module's path is all there is.
        """
        if not self._shapes:
            return "." in parameter and parameter.rpartition(".")[0] in self._tree
        known = self._shapes.get(parameter)
        return known is not None and math.prod(known) == math.prod(shape)

    def owner(self, initializer: str) -> str | None:
        """Path of the module that owns what an initializer holds; None when unknown."""
        parameter = self.parameters.get(initializer)
        return None if parameter is None else self._tree.canonical(parameter.rpartition(".")[0])

    def absent(self) -> dict[str, Shape]:
        """Parameters that no initializer holds: folded, unused, or tied to one that is held."""
        held = {self._canonical(parameter) for parameter in self.parameters.values()}
        return {p: shape for p, shape in self._shapes.items() if self._canonical(p) not in held}

    def _canonical(self, parameter: str) -> tuple[str, str]:
        path, _, name = parameter.rpartition(".")
        return self._tree.canonical(path), name
