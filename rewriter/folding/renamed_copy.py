"""Copying nodes under other names, with the subgraphs that they hold."""

from collections.abc import Mapping

import onnx

from modelexport.hierarchy.graph_paths import subgraphs
from modelexport.rewriter.graph.subgraph_names import defined_names
from modelexport.support.unique_names import UniqueNames


def renamed_copy(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    """A copy of a node that reads and makes values under new names.

    What its subgraphs capture is renamed too. What they define keeps its name, unless that is one
    of the new names.

    Args:
        node: The node.
        names: Old name to new name; other names stay.
    """
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = [names.get(name, name) for name in node.input]
    copy.output[:] = [names.get(name, name) for name in node.output]
    if copy.attribute:
        for _, subgraph in subgraphs(copy):
            _rename_subgraph(subgraph, names, set(names.values()))
    return copy


def _rename_subgraph(subgraph: onnx.GraphProto, names: Mapping[str, str], taken: set[str]) -> None:
    defined = defined_names(subgraph)
    inner = {name: new for name, new in names.items() if name not in defined}
    for name in defined & taken:
        inner[name] = UniqueNames(taken | defined).take(name)
    for value in (*subgraph.input, *subgraph.output, *subgraph.value_info, *subgraph.initializer):
        value.name = inner.get(value.name, value.name)
    for sparse in subgraph.sparse_initializer:
        sparse.values.name = inner.get(sparse.values.name, sparse.values.name)
    for annotation in subgraph.quantization_annotation:
        annotation.tensor_name = inner.get(annotation.tensor_name, annotation.tensor_name)
        for entry in annotation.quant_parameter_tensor_names:
            entry.value = inner.get(entry.value, entry.value)
    for node in subgraph.node:
        node.CopyFrom(renamed_copy(node, inner))
