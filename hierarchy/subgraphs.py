"""Making inner values visible to onnxruntime: values as outputs, and subgraphs as models."""

from collections.abc import Iterable, Iterator, Mapping

import onnx

from modelexport.hierarchy.fingerprints import Array
from modelexport.hierarchy.graph_paths import subgraphs

Arrays = Mapping[str, Array]
"""Arrays by the names of their values."""


def names_read(graph: onnx.GraphProto) -> Iterator[str]:
    """Names that the nodes of a graph and of its subgraphs read, and what subgraphs return."""
    for node in graph.node:
        yield from node.input
        for _, subgraph in subgraphs(node):
            yield from names_read(subgraph)
            yield from (value.name for value in subgraph.output)


def computed_names(graph: onnx.GraphProto) -> list[str]:
    """Names of what the nodes of a graph compute, without its subgraphs."""
    return [name for node in graph.node for name in node.output if name]


def expose_values(graph: onnx.GraphProto, names: Iterable[str]) -> None:
    """Add values to the outputs of a graph; those that are outputs already stay as they are."""
    outputs = {value.name for value in graph.output}
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in outputs)


def extract_subgraph(
    model: onnx.ModelProto, subgraph: onnx.GraphProto, values: Arrays
) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """A subgraph as the main graph of a model, without outputs, and the inputs that it needs.

    Args:
        model: The model in which the subgraph is.
        subgraph: The subgraph.
        values: All values that it sees. Those that it reads become inputs of the new model.
    """
    extracted = onnx.ModelProto(ir_version=model.ir_version)
    extracted.opset_import.extend(model.opset_import)
    extracted.functions.extend(model.functions)
    extracted.graph.name = subgraph.name
    extracted.graph.node.extend(subgraph.node)
    names = dict.fromkeys(names_read(subgraph))
    feeds = {name: values[name] for name in names if name in values}
    for name, array in feeds.items():
        dtype = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        extracted.graph.input.append(onnx.helper.make_tensor_value_info(name, dtype, array.shape))
    return extracted, feeds
