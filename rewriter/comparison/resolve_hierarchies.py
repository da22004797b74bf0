"""Finding the modules of the two files of a comparison, also where a file carries no tags."""

from dataclasses import dataclass

import msgspec

from modelexport.errors import ForeignRecordError, UsageError
from modelexport.hierarchy.annotate_options import MatchOptions
from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.record import Record
from modelexport.rewriter.annotation.annotate_file import annotate
from modelexport.rewriter.annotation.model_file import ModelFile
from modelexport.rewriter.annotation.report import AnnotateReport
from modelexport.rewriter.comparison.compared_file import ComparedFile, ComparedFiles
from modelexport.rewriter.matching import OURS, CarriedHierarchy, Claim, Claims


@dataclass(frozen=True)
class _Hierarchy:
    """The hierarchy of a file, and a note on where it comes from; None for its own tags."""

    carried: CarriedHierarchy
    note: str | None = None


def resolve_hierarchies(
    first: ModelFile, second: ModelFile, record: Record | None, *, run: bool
) -> tuple[ComparedFiles, list[str]]:
    """Find the hierarchy of each file.

    A file that carries no tags of ours is matched in memory: with the record, else with the other
    file if that carries tags. So are the nodes without a tag in a file that carries some; its own
    tags stay. Otherwise its hierarchy is read from what it carries instead of tags.

    Args:
        first: The first file.
        second: The second.
        record: A trace record of the model.
        run: Whether a file may be run to match it.

    Returns:
        The files with their modules, and notes on what was done.

    Raises:
        ForeignRecordError: A file is not one of the model.
        UsageError: There is no way to know the modules of a file.
    """
    left = _hierarchy(first, second, record, run=run)
    right = _hierarchy(second, first, record, run=run)
    files = ComparedFile(first, 0, left.carried), ComparedFile(second, 1, right.carried)
    return files, [note for note in (left.note, right.note) if note is not None]


def _hierarchy(
    file: ModelFile, other: ModelFile, record: Record | None, *, run: bool
) -> _Hierarchy:
    own, others = file.carried, other.carried
    name = file.path.name
    if own is not None and own.scheme == OURS:
        return _completed(own, file, other, record, run=run)
    if record is not None:
        note = f"{name} is not annotated: it was matched with the record"
        return _Hierarchy(_by_record(file, record, run=run), note)
    if others is not None and others.scheme == OURS:
        note = f"{name} is not annotated: it was matched with {other.path.name}"
        return _Hierarchy(_by_other_file(file, other, others, run=run), note)
    if own is None:
        raise UsageError(
            f"{file.path}: it carries no hierarchy: annotate it first, or give --record."
        )
    return _Hierarchy(own, f"the modules of {name} were read from its {own.scheme}")


def _completed(
    own: CarriedHierarchy, file: ModelFile, other: ModelFile, record: Record | None, *, run: bool
) -> _Hierarchy:
    """The tags of a file, and the modules of its nodes without one as far as they are matched."""
    outside = [key for key in file.graph.keys if key not in own.claims.by_node]
    if not outside:
        return _Hierarchy(own)
    name, count = file.path.name, len(outside)
    without = f"{count} nodes of {name} have no tag and are outside any module"
    try:
        matched = _matched_rest(own, file, other, record, run=run)
    except ForeignRecordError:
        return _Hierarchy(own, f"{without}: the record is of another model")
    if matched is None:
        way = "give --record, or annotate the file again, to place them"
        return _Hierarchy(own, f"{without}: {way}")
    by_node = {key: matched.by_node[key] for key in outside if key in matched.by_node}
    claims = msgspec.structs.replace(own.claims, by_node=own.claims.by_node | by_node)
    source = "the record" if record is not None else other.path.name
    note = f"{len(by_node)} of {count} nodes of {name} without a tag were matched with {source}"
    if len(by_node) < count:
        note += "; the others are outside any module"
    return _Hierarchy(msgspec.structs.replace(own, claims=claims), note)


def _matched_rest(
    own: CarriedHierarchy, file: ModelFile, other: ModelFile, record: Record | None, *, run: bool
) -> Claims | None:
    """What matching a file says of modules of its tree; None where there is nothing to match with.

    The other file is used if it knows more: a smaller share of its nodes is without a tag.

    Raises:
        ForeignRecordError: The record is of another model.
    """
    source = other.carried
    if record is not None:
        matched = _by_record(file, record, run=run)
    elif (
        source is not None
        and (source.scheme, source.rules) == (OURS, own.rules)
        and _untagged_share(other, source) < _untagged_share(file, own)
    ):
        matched = _by_other_file(file, other, source, run=run)
    else:
        return None
    tree = {module.path for module in own.modules}
    return Claims({key: c for key, c in matched.claims.by_node.items() if c.module in tree})


def _untagged_share(file: ModelFile, hierarchy: CarriedHierarchy) -> float:
    return 1 - len(hierarchy.claims.by_node) / len(file.graph.keys)


def _by_record(file: ModelFile, record: Record, *, run: bool) -> CarriedHierarchy:
    report = annotate(file.path, record, None, matching=MatchOptions(run=run))
    parameters = {t.name: t.parameter for t in record.tensors if t.parameter is not None}
    claims = _claims(file, report)
    return CarriedHierarchy("the record", record.modules, claims, parameters=parameters)


def _by_other_file(
    file: ModelFile, other: ModelFile, hierarchy: CarriedHierarchy, *, run: bool
) -> CarriedHierarchy:
    report = annotate(
        file.path,
        None,
        None,
        inherit_from=other.path,
        matching=MatchOptions(run=run),
        rules=hierarchy.rules,
    )
    return msgspec.structs.replace(hierarchy, scheme=other.path.name, claims=_claims(file, report))


def _claims(file: ModelFile, report: AnnotateReport) -> Claims:
    """The decisions of a report as claims about the nodes of a file."""
    pairs = zip(file.graph.keys, report.decisions, strict=True)
    return Claims(
        {
            key: Claim(decision.module, decision.evidence or EvidenceKind.CARRIED, decision.covers)
            for key, decision in pairs
            if decision.module is not None
        }
    )
