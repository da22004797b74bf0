"""Edits of a model in memory, for what cannot be spliced into its file: a changed graph."""

import onnx

from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.rewriter.container import Changes, Edits
from modelexport.rewriter.inject.names import rename_nodes


def apply_edits(model: onnx.ModelProto, edits: Edits) -> Changes:
    """Change a model in memory in the same way as `OnnxContainer.write` changes a file.

    Args:
        model: The model; it is changed in place.
        edits: What to change.

    Returns:
        What was changed.
    """
    changes = Changes(names=len(edits.names))
    for key, node in walk_nodes(model):
        new = edits.nodes.get(key, ())
        if node.metadata_props:
            entry_keys = [entry.key for entry in node.metadata_props]
            removed = _remove_entries(node, edits.removed_entries(entry_keys, new))
            changes.removed.update(removed)
            changes.nodes_cleared += bool(removed)
        if edits.removes(Inject.ATTRIBUTES):
            changes.attributes += _remove_tag_attributes(node)
        for name, value in new:
            node.metadata_props.add(key=name, value=value)
        if key in edits.attributes:
            attribute = node.attribute.add(name=keys.TAG_ATTRIBUTE, type=onnx.AttributeProto.STRING)
            attribute.s = edits.attributes[key].encode()
    removed_from_model = [edits.removes_from_model(entry.key) for entry in model.metadata_props]
    changes.removed_from_model.update(_remove_entries(model, removed_from_model))
    for name, value in edits.model:
        model.metadata_props.add(key=name, value=value)
    rename_nodes(model, edits.names)
    return changes


def _remove_entries(owner: onnx.NodeProto | onnx.ModelProto, removed: list[bool]) -> list[str]:
    """Remove metadata entries; returns their keys."""
    positions = [position for position, is_removed in enumerate(removed) if is_removed]
    removed_keys = [owner.metadata_props[position].key for position in positions]
    for position in reversed(positions):
        del owner.metadata_props[position]
    return removed_keys


def _remove_tag_attributes(node: onnx.NodeProto) -> int:
    """Remove our tag attribute; returns how often the node had it."""
    positions = [n for n, a in enumerate(node.attribute) if a.name == keys.TAG_ATTRIBUTE]
    for position in reversed(positions):
        del node.attribute[position]
    return len(positions)
