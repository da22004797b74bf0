"""Edits of a model in memory, for what cannot be spliced into its file: a changed graph."""

import onnx

from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.rewriter.container import Edits
from modelexport.rewriter.container.editing import goes
from modelexport.rewriter.inject.names import rename


def apply(model: onnx.ModelProto, edits: Edits) -> None:
    """Do to a model in memory what `OnnxContainer.write` does to a file."""
    for key, node in walk_nodes(model):
        new = edits.nodes.get(key, ())
        if node.metadata_props:
            _keep(node, goes([entry.key for entry in node.metadata_props], new, edits))
        if edits.drops(Inject.ATTRIBUTES):
            for number, attribute in enumerate(node.attribute):
                if attribute.name == keys.TAG_ATTRIBUTE:
                    del node.attribute[number]
                    break
        for name, value in new:
            node.metadata_props.add(key=name, value=value)
        if key in edits.attributes:
            made = node.attribute.add(name=keys.TAG_ATTRIBUTE, type=onnx.AttributeProto.STRING)
            made.s = edits.attributes[key].encode()
    _keep(model, [edits.drops_entry(entry.key) for entry in model.metadata_props])
    for name, value in edits.model:
        model.metadata_props.add(key=name, value=value)
    rename(model, edits.names)


def _keep(holder: onnx.NodeProto | onnx.ModelProto, gone: list[bool]) -> None:
    for number in reversed(range(len(gone))):
        if gone[number]:
            del holder.metadata_props[number]
