"""Placing the nodes of a file in modules: by its own tags, by a record, or by an annotated file."""

import msgspec

from modelexport.errors import ForeignRecordError, UsageError
from modelexport.hierarchy.annotate_options import MatchOptions
from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.record import Record
from modelexport.hierarchy.tags import Tagger
from modelexport.rewriter.annotation.annotate_file import annotate
from modelexport.rewriter.annotation.model_file import ModelFile
from modelexport.rewriter.annotation.report import AnnotateReport
from modelexport.rewriter.matching import OURS, CarriedHierarchy, Claim, Claims


class PlacementSources(msgspec.Struct, frozen=True):
    """What may be used to place the nodes of a file.

    Attributes:
        record: A trace record of the model.
        annotated: An opened annotated file of the model.
        matching: How the file is matched with one of them.
    """

    record: Record | None = None
    annotated: ModelFile | None = None
    matching: MatchOptions = MatchOptions()


class Placement(msgspec.Struct, frozen=True):
    """The hierarchy of a file.

    Attributes:
        hierarchy: Its modules, and the module of each node.
        note: Where they come from; None when the file's own tags place every node.
    """

    hierarchy: CarriedHierarchy
    note: str | None = None


def place_nodes(file: ModelFile, sources: PlacementSources) -> Placement:
    """Find the module of each node of a file.

    A file without tags of ours is matched in memory, with the record or else with the annotated
    file. In a file with some tags, the nodes without a tag are matched in the same way; its own
    tags stay. If there is nothing to match with, the hierarchy is read from what the file carries
    instead of tags.

    Args:
        file: The file.
        sources: What may be used to place its nodes.

    Raises:
        ForeignRecordError: The file is not one of the model.
        UsageError: There is no way to know the modules of the file.
    """
    own, name = file.carried, file.path.name
    if own is not None and own.scheme == OURS:
        return _completed(own, file, sources)
    if sources.record is not None:
        note = f"{name} is not annotated: it was matched with the record"
        return Placement(_by_record(file, sources.record, sources.matching), note)
    if sources.annotated is not None:
        note = f"{name} is not annotated: it was matched with {sources.annotated.path.name}"
        return Placement(_by_annotated_file(file, sources.annotated, sources.matching), note)
    if own is None:
        raise UsageError(
            f"{file.path}: it carries no hierarchy. Annotate it first, or give --record RECORD or "
            "--from ANNOTATED."
        )
    return Placement(own, f"the modules of {name} were read from what it carries: {own.scheme}")


def _completed(own: CarriedHierarchy, file: ModelFile, sources: PlacementSources) -> Placement:
    """The tags of a file, and the matched modules of nodes without a tag."""
    outside = [key for key in file.graph.keys if key not in own.claims.by_node]
    if not outside:
        return Placement(_with_lines(own, file, sources))
    name, count = file.path.name, len(outside)
    without = f"{count} nodes of {name} have no tag and are outside any module"
    try:
        matched = _matched_rest(own, file, sources)
    except ForeignRecordError:
        return Placement(own, f"{without}: the record is of another model")
    if matched is None:
        way = "give --record, or annotate the file again, to place them"
        return Placement(own, f"{without}: {way}")
    recorded = matched.claims.by_node
    by_node = {key: recorded[key] for key in outside if key in recorded}
    claims = msgspec.structs.replace(own.claims, by_node=own.claims.by_node | by_node)
    lines = dict(matched.source_lines)
    if own.source_lines:
        lines = {key: lines[key] for key in outside if key in lines}
    source = "the record"
    if sources.record is None and sources.annotated is not None:
        source = sources.annotated.path.name
    note = f"{len(by_node)} of {count} nodes of {name} without a tag were matched with {source}"
    if len(by_node) < count:
        note += "; the others are outside any module"
    lines |= own.source_lines
    return Placement(msgspec.structs.replace(own, claims=claims, source_lines=lines), note)


def _with_lines(
    own: CarriedHierarchy, file: ModelFile, sources: PlacementSources
) -> CarriedHierarchy:
    """The hierarchy of a file, with the source lines of the record where the file has none."""
    record = sources.record
    if own.source_lines or record is None or not any(op.source for op in record.ops):
        return own
    try:
        matched = _by_record(file, record, sources.matching)
    except ForeignRecordError:
        return own
    return msgspec.structs.replace(own, source_lines=matched.source_lines)


def _matched_rest(
    own: CarriedHierarchy, file: ModelFile, sources: PlacementSources
) -> CarriedHierarchy | None:
    """The modules that matching gives to nodes; None if there is nothing to match with.

    The annotated file is used if a smaller share of its nodes is without a tag.

    Raises:
        ForeignRecordError: The record is of another model.
    """
    if sources.record is not None:
        matched = _by_record(file, sources.record, sources.matching)
    elif sources.annotated is not None and _knows_more(sources.annotated, own, file):
        matched = _by_annotated_file(file, sources.annotated, sources.matching)
    else:
        return None
    claims = Claims({key: c for key, c in matched.claims.by_node.items() if c.module in own.tree})
    return msgspec.structs.replace(matched, claims=claims)


def _knows_more(annotated: ModelFile, own: CarriedHierarchy, file: ModelFile) -> bool:
    source = annotated.carried
    return (
        source is not None
        and (source.scheme, source.rules) == (OURS, own.rules)
        and _untagged_share(annotated, source) < _untagged_share(file, own)
    )


def _untagged_share(file: ModelFile, hierarchy: CarriedHierarchy) -> float:
    return 1 - len(hierarchy.claims.by_node) / len(file.graph.keys)


def _by_record(file: ModelFile, record: Record, options: MatchOptions) -> CarriedHierarchy:
    report = annotate(file.path, record, None, matching=options)
    parameters = {t.name: t.parameter for t in record.tensors if t.parameter is not None}
    claims = _claims(file, report)
    return CarriedHierarchy(
        "the record",
        Tagger(ModuleTree(record.modules)),
        claims,
        parameters=parameters,
        source_lines=_source_lines(file, report),
    )


def _by_annotated_file(
    file: ModelFile, annotated: ModelFile, options: MatchOptions
) -> CarriedHierarchy:
    source = annotated.carried
    if source is None:
        raise UsageError(
            f"{annotated.path}: it carries no hierarchy to inherit: annotate it first."
        )
    report = annotate(
        file.path, None, None, inherit_from=annotated.path, matching=options, rules=source.rules
    )
    return msgspec.structs.replace(
        source,
        scheme=annotated.path.name,
        claims=_claims(file, report),
        notes=(),
        source_lines=_source_lines(file, report),
    )


def _source_lines(file: ModelFile, report: AnnotateReport) -> dict[NodeKey, tuple[str, ...]]:
    """The lines of Python behind each node of a file that has some."""
    pairs = zip(file.graph.keys, report.decisions, strict=True)
    return {key: decision.source_lines for key, decision in pairs if decision.source_lines}


def _claims(file: ModelFile, report: AnnotateReport) -> Claims:
    """The decisions of a report as claims about the nodes of a file."""
    claims = Claims()
    for key, decision in zip(file.graph.keys, report.decisions, strict=True):
        if decision.module is not None:
            kind = decision.evidence or EvidenceKind.CARRIED
            claims.by_node[key] = Claim(decision.module, kind, decision.covers, decision.call)
        elif decision.reason is not None:
            claims.reasons[key] = decision.reason
    return claims
