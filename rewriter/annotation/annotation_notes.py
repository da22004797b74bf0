"""The notes of an annotation: what a user should know beyond the decisions."""

from collections.abc import Iterator

import onnx

from modelexport.hierarchy.annotate_options import AnnotateOptions
from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.rewriter.annotation.inherited_record import INHERITED
from modelexport.rewriter.inject.metadata import foreign_keys
from modelexport.rewriter.matching import OURS, RECORD, Match


def annotation_notes(
    model: onnx.ModelProto, match: Match, options: AnnotateOptions
) -> Iterator[str]:
    """One sentence for each thing that the user should know.

    Args:
        model: The model before annotating.
        match: The decisions about its nodes, and their source.
        options: How the hierarchy is written.
    """
    if match.source != RECORD:
        yield _about_source(match.source)
    yield from match.notes
    yield from _about_foreign_keys(model, replaced=options.replace_keys)
    if Inject.ATTRIBUTES in options.inject:
        yield "onnxruntime refuses tag attributes on nodes that it fuses; strip takes them out"
    if options.source_lines and not any(d.source_lines for d in match.decisions):
        yield "no source lines are known: a record has them, or a file that was annotated with them"
    contradicted = sum(1 for decision in match.decisions if decision.contradictions)
    if contradicted:
        yield f"on {contradicted} nodes weaker evidence contradicts the tag; the report lists it"


def _about_source(source: str) -> str:
    if source == INHERITED:
        return "there was no record: the modules were inherited from an annotated file"
    if source == OURS:
        return "there was no record: the modules were read from the file's earlier annotation"
    return f"there was no record: the modules were read from {source} in the file"


def _about_foreign_keys(model: onnx.ModelProto, *, replaced: bool) -> Iterator[str]:
    """A note on the shared metadata keys that others wrote, if there are any."""
    count = sum(1 for _, node in walk_nodes(model) if node.metadata_props and foreign_keys(node))
    if not count:
        return
    if replaced:
        yield f"keys of others were replaced on {count} nodes: strip cannot restore them"
    else:
        yield f"{count} nodes keep a namespace or scope of others (--replace-keys overwrites it)"
