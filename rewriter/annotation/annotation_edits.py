"""What annotating changes in a file: which entries, attributes and names it writes."""

import onnx

from modelexport.hierarchy.annotate_options import AnnotateOptions
from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.graph_paths import NodeKey, walk_nodes
from modelexport.hierarchy.tags import Tagger
from modelexport.rewriter.annotation.model_file import ModelFile
from modelexport.rewriter.container import Edits
from modelexport.rewriter.inject.in_memory import apply_edits
from modelexport.rewriter.inject.metadata import Entries, MetadataInjection, model_entries
from modelexport.rewriter.inject.names import earlier_names, names_entry, new_names
from modelexport.rewriter.matching import Match


def annotation_edits(
    file: ModelFile, match: Match, tagger: Tagger, options: AnnotateOptions
) -> Edits:
    """What to write into a file.

    Entries of an earlier annotation are removed, and nodes that it renamed get their earlier names
    back.

    Args:
        file: The file, opened with original names.
        match: The module of each of its nodes.
        tagger: Writes module paths as tags.
        options: Where the hierarchy is written.
    """
    inject = options.inject
    names = new_names(file.model, match.decisions, tagger) if Inject.NAMES in inject else {}
    entries = model_entries(match.tree, tagger.rules, match.parameters)
    if names:
        entries.append(names_entry(file.model, names))
    nodes: dict[NodeKey, Entries] = {}
    if Inject.METADATA in inject or Inject.FUNCTIONS in inject:
        nodes = _node_entries(file.model, match, tagger, options)
    tags = {d.key: d.tag for d in match.decisions if d.tag is not None}
    return Edits(
        nodes=nodes,
        model=entries,
        attributes=tags if Inject.ATTRIBUTES in inject else {},
        names=earlier_names(file.flat, file.label) | names,
        strip=True,
        replace=options.replace_keys,
    )


def _node_entries(
    model: onnx.ModelProto, match: Match, tagger: Tagger, options: AnnotateOptions
) -> dict[NodeKey, Entries]:
    """The metadata of each node that has a module."""
    injection = MetadataInjection(
        tagger,
        torch_keys=options.torch_keys,
        source_lines=options.source_lines,
        replace=options.replace_keys,
    )
    pairs = zip(match.decisions, walk_nodes(model), strict=True)
    return {
        key: injection.node(node, decision)
        for decision, (key, node) in pairs
        if decision.module is not None
    }


def edited(model: onnx.ModelProto, edits: Edits) -> onnx.ModelProto:
    """A copy of a model with the edits made in memory."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    apply_edits(copy, edits)
    return copy
