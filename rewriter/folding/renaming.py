"""Copying nodes under other names, their bodies included."""

from collections.abc import Iterable, Mapping

import onnx

from modelexport.hierarchy.graph_paths import bodies
from modelexport.rewriter.folding.fold_graph import local_names


def renamed(node: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    """A copy of a node that uses and makes values under new names.

    What its bodies capture is renamed too; what they define keeps its name, unless that is
    one of the new ones.
    """
    made = onnx.NodeProto()
    made.CopyFrom(node)
    made.input[:] = [names.get(name, name) for name in node.input]
    made.output[:] = [names.get(name, name) for name in node.output]
    if made.attribute:
        for _, body in bodies(made):
            _rename_body(body, names, set(names.values()))
    return made


def _rename_body(body: onnx.GraphProto, names: Mapping[str, str], taken: set[str]) -> None:
    own = local_names(body)
    inner = {name: new for name, new in names.items() if name not in own}
    for name in own & taken:
        inner[name] = _free(name, taken | own)
    for value in (*body.input, *body.output, *body.value_info, *body.initializer):
        value.name = inner.get(value.name, value.name)
    for sparse in body.sparse_initializer:
        sparse.values.name = inner.get(sparse.values.name, sparse.values.name)
    for annotation in body.quantization_annotation:
        annotation.tensor_name = inner.get(annotation.tensor_name, annotation.tensor_name)
        for entry in annotation.quant_parameter_tensor_names:
            entry.value = inner.get(entry.value, entry.value)
    for node in body.node:
        node.CopyFrom(renamed(node, inner))


def _free(name: str, taken: Iterable[str]) -> str:
    number = 1
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"
