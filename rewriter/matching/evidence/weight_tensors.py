"""The initializers of a file, as weights."""

from collections.abc import Iterator, Mapping, Sequence

import onnx

from modelexport.hierarchy.fingerprints import Array
from modelexport.rewriter.graph.indexed_graph import IndexedGraph
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.thresholds import SAMPLED_WEIGHTS


def evenly_sampled(values: Sequence[int]) -> Sequence[int]:
    """At most `SAMPLED_WEIGHTS` of some weights, evenly spread."""
    return values[:: max(1, -(-len(values) // SAMPLED_WEIGHTS))]


def is_plain(array: Array) -> bool:
    """Whether all numbers are equal."""
    if array.item(0) != array.item(array.size - 1):
        return False
    return bool(array.min() == array.max())


def initializers(graph: ModelGraph, file: IndexedGraph) -> Iterator[tuple[int, onnx.TensorProto]]:
    """Each initializer of a file's graphs, with the number of its value."""
    for located in graph.graphs:
        if isinstance(located.graph, onnx.GraphProto):
            for tensor in located.graph.initializer:
                yield file.value_of(located.path, tensor.name), tensor


def find_matrices(weights: Mapping[int, onnx.TensorProto]) -> frozenset[int]:
    """Weights with more than one dimension greater than 1."""
    return frozenset(
        value for value, tensor in weights.items() if sum(extent > 1 for extent in tensor.dims) > 1
    )
