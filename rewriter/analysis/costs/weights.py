"""The stored tensors of a file, and the module that each belongs to."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import onnx

from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.rewriter.analysis.costs.sizes import tensor_bytes
from modelexport.rewriter.graph.initializer_parameters import InitializerParameters
from modelexport.rewriter.graph.model_graph import ModelGraph


class StoredWeight(NamedTuple):
    """A stored tensor.

    Attributes:
        name: Name of the initializer, or of the output of the Constant node.
        module: Path of the module that it belongs to; None when that is unknown.
        elements: Number of elements.
        bytes: Bytes that it takes; None for strings.
    """

    name: str
    module: str | None
    elements: int
    bytes: int | None


def stored_weights(
    model: onnx.ModelProto,
    graph: ModelGraph,
    tree: ModuleTree,
    modules: Sequence[str | None],
    parameters: Mapping[str, str],
) -> list[StoredWeight]:
    """Every initializer and every constant of a model.

    An initializer that holds a parameter belongs to the module of the parameter. Any other one
    (a quantised weight, a scale, a constant) belongs to the modules that read it: to their
    common ancestor.

    Args:
        model: The model; its weights may be left out.
        graph: Its nodes, and how they depend on each other.
        tree: Its modules.
        modules: The module of each node, in the order of `walk_nodes`.
        parameters: Initializer name to parameter, as the file or a record says.
    """
    initializer_parameters = InitializerParameters(model, tree, parameters, graph.graphs)
    unowned = initializer_parameters.shapes.keys() - initializer_parameters.parameters.keys()
    readers = _readers(graph, modules, unowned)

    def owner(name: str) -> str | None:
        path = initializer_parameters.owner(name)
        if path is None and readers.get(name):
            return tree.common_ancestor(sorted(readers[name]))
        return path

    initializers = [
        _stored_weight(tensor.name, owner(tensor.name), tensor)
        for place in graph.graphs
        if isinstance(place.graph, onnx.GraphProto)
        for tensor in place.graph.initializer
    ]
    return [*initializers, *_constants(graph, modules)]


def _stored_weight(name: str, module: str | None, tensor: onnx.TensorProto) -> StoredWeight:
    elements = math.prod(tensor.dims)
    return StoredWeight(name, module, elements, tensor_bytes(tensor.data_type, elements))


def _constants(graph: ModelGraph, modules: Sequence[str | None]) -> Iterator[StoredWeight]:
    for node, kind, module in zip(graph.nodes, graph.op_types, modules, strict=True):
        if kind == "Constant" and node.output:
            tensors = (a.t for a in node.attribute if a.HasField("t"))
            yield from (_stored_weight(node.output[0], module, tensor) for tensor in tensors)


def _readers(
    graph: ModelGraph, modules: Sequence[str | None], names: Collection[str]
) -> dict[str, set[str]]:
    """The modules that read each value of some names."""
    readers: dict[str, set[str]] = {name: set() for name in names}
    for read, module in zip(graph.input_names, modules, strict=True) if names else ():
        if module is not None:
            for name in read:
                if name in readers:
                    readers[name].add(module)
    return readers
