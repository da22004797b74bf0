"""The model of a file with its hierarchy written into it, even if the file has none itself."""

from collections.abc import Mapping

import onnx

from modelexport.hierarchy.graph_paths import NodeKey, op_type, walk_nodes
from modelexport.hierarchy.keys import are_ours
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.inject.metadata import Entries, MetadataInjection, model_entries
from modelexport.rewriter.matching import OURS, Claim, Decision
from modelexport.support.repeated_fields import replace_messages


def tagged_model(file: PlacedFile) -> onnx.ModelProto:
    """The model of a file with a tag on every node that has a module.

    Args:
        file: The file. If it carries all tags, its own model is returned, which must not be
            changed.
    """
    own = file.file.carried
    tags = own.claims.by_node if own is not None and own.scheme == OURS else None
    missing = {
        key: claim
        for key, claim in file.hierarchy.claims.by_node.items()
        if tags is None or key not in tags
    }
    if not missing:
        return file.model
    model = onnx.ModelProto()
    model.CopyFrom(file.model)
    write_claims(file, model, missing)
    if tags is None:
        hierarchy = file.hierarchy
        for name, value in model_entries(file.tree, hierarchy.rules, hierarchy.parameters):
            model.metadata_props.add(key=name, value=value)
    return model


def write_claims(file: PlacedFile, model: onnx.ModelProto, claims: Mapping[NodeKey, Claim]) -> None:
    """Write the modules of some nodes into a model, in place of our earlier entries on them.

    Args:
        file: The file that the model was made from; it knows how tags are written.
        model: The model; it is changed.
        claims: The module of each of these nodes.
    """
    injection = MetadataInjection(file.tagger)
    for key, node in walk_nodes(model) if claims else ():
        if key in claims:
            _write_entries(node, injection.node(node, _decision(key, node, claims[key])))


def _write_entries(node: onnx.NodeProto, entries: Entries) -> None:
    ours = are_ours([entry.key for entry in node.metadata_props])
    kept = [e for e, own in zip(node.metadata_props, ours, strict=True) if not own]
    replace_messages(node.metadata_props, kept)
    for name, value in entries:
        node.metadata_props.add(key=name, value=value)


def _decision(key: NodeKey, node: onnx.NodeProto, claim: Claim) -> Decision:
    return Decision(
        graph=key.graph,
        position=key.position,
        name=node.name,
        op_type=op_type(node),
        module=claim.module,
        evidence=claim.kind or None,
        covers=claim.covers,
        call=claim.call,
    )
