"""Injection *names*: nodes are named by their module, for tools that show names only.

A name is the module's path, one step between two slashes, then the operator:
`/encoder/layer.0/attention/self/query/MatMul`. If a name occurs again it gets a number (`_1`).
The model's metadata keeps the earlier names.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec
import onnx

from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_paths import NodeKey, walk_nodes
from modelexport.hierarchy.tags import Tagger, escape, path_steps
from modelexport.rewriter.matching import embedded_names
from modelexport.support.unique_names import UniqueNames

if TYPE_CHECKING:
    from modelexport.rewriter.matching import Decision

Names = dict[NodeKey, str | None]


def scoped_name(tagger: Tagger, module: str, op_type: str) -> str:
    """The name of an operator in a module, without the number that makes it unique."""
    path = map(escape, path_steps(tagger.resolve(module)))
    return "/" + "/".join([*path, op_type])


def new_names(
    model: onnx.ModelProto, decisions: Iterable["Decision"], tagger: Tagger
) -> dict[NodeKey, str]:
    """Name every node that has a module. The names are unique, and the same at every run.

    A node whose own name is not valid text keeps it, because it could not be restored.

    Args:
        model: The model, with the names from before annotating.
        decisions: One for each node, in the order of `walk_nodes`.
        tagger: Resolves module paths.
    """
    pairs = list(zip(decisions, walk_nodes(model), strict=True))
    unique = UniqueNames(str(node.name) for decision, (_, node) in pairs if decision.module is None)
    names: dict[NodeKey, str] = {}
    for decision, (key, node) in pairs:
        # protobuf gives a name that is not UTF-8 as bytes
        if decision.module is not None and isinstance(node.name, str):
            names[key] = unique.take(scoped_name(tagger, decision.module, node.op_type))
    return names


def names_entry(model: onnx.ModelProto, names: Mapping[NodeKey, str]) -> tuple[str, str]:
    """The model's metadata entry that keeps the earlier names of renamed nodes."""
    before = {
        names[key]: node.name if node.HasField("name") else None
        for key, node in walk_nodes(model)
        if key in names
    }
    return keys.NAMES, msgspec.json.encode(before).decode()


def earlier_names(model: onnx.ModelProto, label: str) -> Names:
    """The names from before annotating, for the nodes that still have the name it gave them.

    A node keeps its present name if another node of the file has its earlier one: a tool may have
    added this node, and onnxruntime refuses two nodes of one name.

    Args:
        model: The model.
        label: The path of the file, for error messages.
    """
    earlier_by_name = embedded_names(model, label)
    if not earlier_by_name:
        return {}
    nodes = list(walk_nodes(model))
    others = {node.name for _, node in nodes if node.name not in earlier_by_name} - {""}
    return {
        key: name
        for key, node in nodes
        if node.name
        and node.name in earlier_by_name
        and (name := earlier_by_name[node.name]) not in others
    }


def with_earlier_names(model: onnx.ModelProto, label: str) -> onnx.ModelProto:
    """A copy of the model with the names from before annotating; itself if none was renamed.

    Args:
        model: The model.
        label: The path of the file, for error messages.
    """
    earlier = earlier_names(model, label)
    if not earlier:
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    rename_nodes(copy, earlier)
    return copy


def rename_nodes(model: onnx.ModelProto, names: Mapping[NodeKey, str | None]) -> None:
    """Rename nodes of a model in memory; None removes the name field."""
    for key, node in walk_nodes(model):
        if key in names:
            name = names[key]
            node.ClearField("name")
            if name is not None:
                node.name = name
