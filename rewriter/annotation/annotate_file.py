"""Annotating: match a file with its record and write the hierarchy into a copy of the file."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Unpack

import msgspec
import onnx

from modelexport.errors import FileProblem, UsageError
from modelexport.hierarchy.annotate_options import AnnotateKeywords, AnnotateOptions
from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.record import Record, read_record
from modelexport.hierarchy.tags import Tagger
from modelexport.rewriter.annotation.annotation_edits import annotation_edits, edited
from modelexport.rewriter.annotation.annotation_notes import annotation_notes
from modelexport.rewriter.annotation.inherited_record import INHERITED, inherited_record
from modelexport.rewriter.annotation.model_file import ModelFile
from modelexport.rewriter.annotation.report import AnnotateReport
from modelexport.rewriter.container import Edits
from modelexport.rewriter.folding import FoldReport, fold
from modelexport.rewriter.graph.initializer_parameters import InitializerParameters
from modelexport.rewriter.matching import Match, match_carried, match_file, refuse_lossy
from modelexport.support.files import atomic_replacement
from modelexport.support.gc_pause import gc_paused
from modelexport.support.progress import report_step
from modelexport.support.real_paths import real_path
from modelexport.support.threads import one_blas_thread


@gc_paused()
@one_blas_thread()
def annotate(
    onnx_path: str | Path,
    record: Record | str | Path | None,
    out_path: str | Path | None,
    *,
    inherit_from: str | Path | None = None,
    options: AnnotateOptions = AnnotateOptions(),  # noqa: B008 - frozen
    force: bool = False,
    report: str | Path | None = None,
    **changes: Unpack[AnnotateKeywords],
) -> AnnotateReport:
    """Write a copy of an ONNX file in which every node knows its module.

    Args:
        onnx_path: The file. It may be any file of the recorded model, not only the traced one.
        record: The trace record or its path. None to use the hierarchy that the file carries.
        out_path: Where the annotated file goes. None to decide about the nodes and write nothing.
        inherit_from: An annotated file whose hierarchy is used in place of a record.
        options: How the file is matched, and how its hierarchy is written.
        force: Overwrite `out_path` and `report` if they exist.
        report: Where the report is written as JSON; None for nowhere.
        changes: Single options by name, in place of those in `options`: `matching`, `inject`,
            `rules`, `fold_rules`, `torch_keys`, `source_lines`, `replace_keys`.
            See `AnnotateOptions`.

    Examples:
        >>> from modelexport import Inject, TagRules, TagStyle, annotate
        >>> report = annotate("net.onnx", "net.trace.json", "again.onnx")
        >>> report.resolved, report.nodes
        (10, 10)
        >>> print(report.decisions[1].tag, report.decisions[1].evidence)
        /Net/layer.0/fc identity
        >>> rules = TagRules(style=TagStyle.CLASS)
        >>> report = annotate(
        ...     "net.onnx", "net.trace.json", "by_class.onnx", inject=[Inject.NAMES], rules=rules
        ... )
        >>> report.decisions[1].tag
        '/Net/Block.0/Linear'

    Returns:
        The report, with a decision for every node, those in subgraphs and functions included.

    Raises:
        FileProblem: A file cannot be read or written as asked.
        ForeignRecordError: The record is of another model.
        UsageError: Options contradict each other. Or there is no record, and the file carries no
            hierarchy, or has lost what the options need.
    """
    options = options.overridden(**changes)
    options.check()
    source = Path(onnx_path)
    target = None if out_path is None else Path(out_path)
    inputs = [source, *filter(None, [options.matching.probe, options.matching.reference])]
    inputs += [Path(path) for path in (record, inherit_from) if isinstance(path, str | Path)]
    _refuse_same_file(target, inputs, report)
    report_step(f"reading {source.name}")
    reference, options = _reference_record(record, inherit_from, options)
    with (
        _report_file(report, inputs, force=force) as report_part,
        ModelFile.open(source, original_names=True) as file,
    ):
        report_step("matching")
        match = _match(file, reference, options)
        if inherit_from is not None:
            match = msgspec.structs.replace(match, source=INHERITED)
        tagger = Tagger(match.tree, options.rules)
        match = _tagged(match, tagger)
        edits = annotation_edits(file, match, tagger, options)
        notes = tuple(annotation_notes(file.model, match, options))
        rewritten, folding = _rewritten(file, match, tagger, edits, options)
        if folding is not None:
            notes += tuple(folding.lines())
        elif file.folded:
            notes += ("the file had functions of an earlier annotation: they are nodes again",)
        result = _report(source, target, match, notes, folding)
        if report_part is not None:
            report_part.write_bytes(result.to_json())  # first: if this fails, no file is written
        report_step("writing")
        if target is not None and rewritten is not None:
            file.container.write_model(target, rewritten, force=force)
        elif target is not None:
            file.container.write(target, edits, force=force)
    return result


def _reference_record(
    record: Record | str | Path | None, inherit_from: str | Path | None, options: AnnotateOptions
) -> tuple[Record | None, AnnotateOptions]:
    """The record, read or made from an annotated file; and the options with which to match."""
    if record is not None and inherit_from is not None:
        raise UsageError("--from and --record exclude each other: give one of them.")
    if isinstance(record, str | Path):
        record = read_record(Path(record))
    if inherit_from is None:
        return record, options
    inherited = inherited_record(Path(inherit_from), options.rules, options.matching)
    matching = msgspec.structs.replace(options.matching, probe=None)  # the annotated file ran on it
    return inherited, options.overridden(matching=matching)


def _match(file: ModelFile, record: Record | None, options: AnnotateOptions) -> Match:
    """The module of each node, by a record or else by what the file carries."""
    if record is not None:
        return match_file(file.container, file.model, record, options.matching)
    options.matching.check()
    # names that an earlier annotation gave show modules: read them before removing them
    match, carried = match_carried(file.flat, file.label)
    refuse_lossy(carried, options.rules, file.label)
    decisions = [
        msgspec.structs.replace(decision, name=node.name)
        for decision, node in zip(match.decisions, file.graph.nodes, strict=True)
    ]
    return msgspec.structs.replace(match, decisions=decisions)


def _tagged(match: Match, tagger: Tagger) -> Match:
    """A match whose decisions have the tags of their modules."""
    decisions = [
        decision
        if decision.module is None
        else msgspec.structs.replace(decision, tag=tagger.tag(decision.module))
        for decision in match.decisions
    ]
    return msgspec.structs.replace(match, decisions=decisions)


def _rewritten(
    file: ModelFile, match: Match, tagger: Tagger, edits: Edits, options: AnnotateOptions
) -> tuple[onnx.ModelProto | None, FoldReport | None]:
    """The annotated model, if its graph changes: calls become functions, or functions become nodes.

    Returns:
        The model, None when the edits can be spliced into the file; and what was folded, None
        when no functions were asked for.
    """
    if Inject.FUNCTIONS in options.inject:
        report_step("folding")
        model = edited(file.flat, edits)
        parameters = InitializerParameters(model, match.tree, match.parameters).parameters
        return model, fold(model, match.decisions, tagger, parameters, options.fold_rules)
    return (edited(file.flat, edits) if file.folded else None), None


def _refuse_same_file(target: Path | None, inputs: list[Path], report: str | Path | None) -> None:
    """Refuse an output that is also an input or the report, before any work is done."""
    if target is None:
        return
    if any(path.exists() and target.exists() and path.samefile(target) for path in inputs):
        raise FileProblem(f"{target}: the output is also an input; choose another name.")
    if report is not None and real_path(report) == real_path(target):
        raise FileProblem(f"{target}: the report and the output are one file.")


def _report_file(
    report: str | Path | None, inputs: list[Path], *, force: bool
) -> AbstractContextManager[Path | None]:
    """A temporary file for the report; refuses at once a report that could not be written."""
    if report is None:
        return nullcontext()
    return atomic_replacement(Path(report), force=force, inputs=inputs)


def _report(
    source: Path,
    target: Path | None,
    match: Match,
    notes: tuple[str, ...],
    folding: FoldReport | None,
) -> AnnotateReport:
    resolved = sum(1 for decision in match.decisions if decision.tag is not None)
    return AnnotateReport(
        file=source.name,
        output=None if target is None else target.name,
        source=match.source,
        nodes=len(match.decisions),
        resolved=resolved,
        unresolved=len(match.decisions) - resolved,
        evidence=match.counts(),
        notes=notes,
        decisions=match.decisions,
        folding=folding,
    )
