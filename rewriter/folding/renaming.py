"""Copying nodes under other names, their subgraphs included."""

from collections.abc import Iterable, Mapping

import onnx

from modelexport.hierarchy.graph_paths import subgraphs
from modelexport.rewriter.folding.fold_graph import local_names


def renamed(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    """A copy of a node that uses and makes values under new names.

    What its subgraphs capture is renamed too; what they define keeps its name, unless that is
    one of the new ones.
    """
    made = onnx.NodeProto()
    made.CopyFrom(node)
    made.input[:] = [names.get(name, name) for name in node.input]
    made.output[:] = [names.get(name, name) for name in node.output]
    if made.attribute:
        for _, subgraph in subgraphs(made):
            _rename_subgraph(subgraph, names, set(names.values()))
    return made


def _rename_subgraph(subgraph: onnx.GraphProto, names: Mapping[str, str], taken: set[str]) -> None:
    own = local_names(subgraph)
    inner = {name: new for name, new in names.items() if name not in own}
    for name in own & taken:
        inner[name] = _free(name, taken | own)
    for value in (*subgraph.input, *subgraph.output, *subgraph.value_info, *subgraph.initializer):
        value.name = inner.get(value.name, value.name)
    for sparse in subgraph.sparse_initializer:
        sparse.values.name = inner.get(sparse.values.name, sparse.values.name)
    for annotation in subgraph.quantization_annotation:
        annotation.tensor_name = inner.get(annotation.tensor_name, annotation.tensor_name)
        for entry in annotation.quant_parameter_tensor_names:
            entry.value = inner.get(entry.value, entry.value)
    for node in subgraph.node:
        node.CopyFrom(renamed(node, inner))


def _free(name: str, taken: Iterable[str]) -> str:
    number = 1
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"
