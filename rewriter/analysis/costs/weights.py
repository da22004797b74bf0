"""What a file stores for each module: its initializers, and the module that each belongs to."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import onnx

from modelexport.hierarchy.graph_paths import walk_graphs
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.rewriter.analysis.costs.sizes import bytes_of
from modelexport.rewriter.graph.initializer_parameters import InitializerParameters
from modelexport.rewriter.graph.model_graph import ModelGraph


class Weight(NamedTuple):
    """A stored tensor.

    Attributes:
        name: Of the initializer, or of the output of the Constant node that holds it.
        module: Path of the module that it belongs to; None when nothing says.
        elements: How many.
        bytes: How much room they take; None for text.
    """

    name: str
    module: str | None
    elements: int
    bytes: int | None


def weights_of(
    model: onnx.ModelProto,
    graph: ModelGraph,
    tree: ModuleTree,
    modules: list[str | None],
    said: Mapping[str, str],
) -> list[Weight]:
    """Every initializer and constant of a model.

    An initializer belongs to the module whose parameter it is known to hold, another one (a
    quantised weight, a scale, a constant) to those that read it: to their common ancestor.

    Args:
        model: The model; its weights may be left out.
        graph: Its nodes, and how they depend on each other.
        tree: Its modules.
        modules: The module of each node, in the order of `walk_nodes`.
        said: Initializer name to parameter, as the file or a record says.
    """
    initializers = InitializerParameters(model, tree, said)
    readers = _readers(graph, modules)

    def owner(name: str) -> str | None:
        found = initializers.owner(name)
        if found is None and (users := readers.get(name)):
            return tree.common_ancestor(sorted(users))
        return found

    found = [
        _weight(tensor.name, owner(tensor.name), tensor)
        for place in walk_graphs(model)
        if isinstance(place.graph, onnx.GraphProto)
        for tensor in place.graph.initializer
    ]
    return [*found, *_constants(graph, modules)]


def _weight(name: str, module: str | None, tensor: onnx.TensorProto) -> Weight:
    elements = math.prod(tensor.dims)
    return Weight(name, module, elements, bytes_of(tensor.data_type, elements))


def _constants(graph: ModelGraph, modules: list[str | None]) -> Iterator[Weight]:
    for node, module in zip(graph.nodes, modules, strict=True):
        if node.op_type == "Constant":
            tensors = (a.t for a in node.attribute if a.HasField("t"))
            yield from (_weight(node.output[0], module, tensor) for tensor in tensors)


def _readers(graph: ModelGraph, modules: list[str | None]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for node, module in zip(graph.nodes, modules, strict=True):
        if module is not None:
            for name in node.input:
                found.setdefault(name, set()).add(module)
    return found
