"""Injection *names*: nodes named by their module, for tools that see names only.

`/encoder/layer.0/attention/self/query/MatMul`: the module's path, a step a slash, and the
operator; the second of a name gets `_1`. The model keeps what they were called before.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec
import onnx

from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_paths import NodeKey, walk_nodes
from modelexport.hierarchy.tags import Tagger, escape, steps
from modelexport.rewriter.matching.evidence.carried import embedded_names

if TYPE_CHECKING:
    from modelexport.rewriter.matching.matcher import Decision

Names = dict[NodeKey, str | None]


def scoped_name(tagger: Tagger, module: str, op_type: str) -> str:
    """The name of an operator in a module, without the number that makes it unique."""
    path = map(escape, steps(tagger.resolve(module)))
    return "/" + "/".join([*path, op_type])


def new_names(
    model: onnx.ModelProto, decisions: Iterable["Decision"], tagger: Tagger
) -> dict[NodeKey, str]:
    """A name for every node that has a module, unique among all nodes; the same at every run.

    A node whose own name is no text keeps it: it could not be restored.

    Args:
        model: The model, with the names from before annotating.
        decisions: One for each node, in the order of `walk_nodes`.
        tagger: Knows what becomes of module paths.
    """
    pairs = list(zip(decisions, walk_nodes(model), strict=True))
    taken = {str(node.name) for decision, (_, node) in pairs if decision.module is None}
    counts: dict[str, int] = {}
    names: dict[NodeKey, str] = {}
    for decision, (key, node) in pairs:
        if decision.module is not None and isinstance(node.name, str):  # no UTF-8 comes as bytes
            names[key] = unique(scoped_name(tagger, decision.module, node.op_type), taken, counts)
    return names


def unique(name: str, taken: set[str], counts: dict[str, int]) -> str:
    """The name, with a number behind it when it is taken; takes what it gives.

    Args:
        name: What is wanted.
        taken: Names that are used.
        counts: How often each name was wanted: what makes this fast for thousands of them.
    """
    number = counts.get(name, 0)
    found = f"{name}_{number}" if number else name
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    counts[name] = number + 1
    taken.add(found)
    return found


def names_entry(model: onnx.ModelProto, names: Mapping[NodeKey, str]) -> tuple[str, str]:
    """The model's entry that tells what renamed nodes were called before."""
    before = {
        names[key]: node.name if node.HasField("name") else None
        for key, node in walk_nodes(model)
        if key in names
    }
    return keys.NAMES, msgspec.json.encode(before).decode()


def earlier_names(model: onnx.ModelProto, where: str) -> Names:
    """What nodes were called before annotating, for those that still have the name it gave."""
    given = embedded_names(model, where)
    if not given:
        return {}
    nodes = walk_nodes(model)
    return {key: given[node.name] for key, node in nodes if node.name and node.name in given}


def with_earlier_names(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """The model as it was called before annotating; itself where nothing was renamed."""
    earlier = earlier_names(model, where)
    if not earlier:
        return model
    made = onnx.ModelProto()
    made.CopyFrom(model)
    rename(made, earlier)
    return made


def rename(model: onnx.ModelProto, names: Mapping[NodeKey, str | None]) -> None:
    """Rename nodes of a model in memory."""
    for key, node in walk_nodes(model):
        if key in names:
            name = names[key]
            node.ClearField("name")
            if name is not None:
                node.name = name
