"""Annotating: match a file with its record and write its hierarchy into a copy of it."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Unpack

import msgspec
import onnx

from modelexport.errors import FileProblem, UsageError
from modelexport.hierarchy.annotate_options import (
    AnnotateKeywords,
    AnnotateOptions,
    FoldRules,
    MatchOptions,
)
from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.graph_paths import NodeKey, walk_nodes
from modelexport.hierarchy.record import Record, read_record
from modelexport.hierarchy.tags import Tagger, TagRules
from modelexport.rewriter.annotation.inherited_record import INHERITED, inherited_record
from modelexport.rewriter.annotation.report import AnnotateReport
from modelexport.rewriter.container import Edits, OnnxContainer
from modelexport.rewriter.folding import FoldReport, fold, unfolded
from modelexport.rewriter.graph.initializer_parameters import InitializerParameters
from modelexport.rewriter.inject.in_memory import apply_edits
from modelexport.rewriter.inject.metadata import (
    Entries,
    MetadataInjection,
    foreign_keys,
    model_entries,
)
from modelexport.rewriter.inject.names import (
    earlier_names,
    names_entry,
    new_names,
    with_earlier_names,
)
from modelexport.rewriter.matching.evidence.carried import OURS, refuse_lossy
from modelexport.rewriter.matching.matcher import Match, match_carried, match_record
from modelexport.rewriter.matching.options import open_sources
from modelexport.support.files import atomic_replacement
from modelexport.support.gc_pause import gc_paused
from modelexport.support.progress import step
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
        onnx_path: The file; any file of the recorded model, not just the traced one.
        record: The trace record or its path; None to use what the file carries itself.
        out_path: Where the annotated file goes; None to decide and write nothing.
        inherit_from: An annotated file to carry the hierarchy over from, in place of a record.
        options: How the file is matched, and how its hierarchy is written.
        force: Overwrite `out_path` and `report` if they exist.
        report: Where to write the report as JSON, if anywhere.
        changes: Single options by name, in place of those in `options`: `matching`, `inject`,
            `rules`, `fold_rules`, `torch_keys`, `replace_keys`. See `AnnotateOptions`.

    Examples:
        >>> from modelexport.rewriter import annotate
        >>> report = annotate("net.onnx", "net.trace.json", "again.onnx")
        >>> report.resolved, report.nodes
        (10, 10)
        >>> print(report.decisions[1].tag, report.decisions[1].evidence)
        /Net/layer.0/fc identity
        >>> from modelexport import Inject, TagRules, TagStyle
        >>> rules = TagRules(style=TagStyle.CLASS)
        >>> report = annotate(
        ...     "net.onnx", "net.trace.json", "by_class.onnx", inject=[Inject.NAMES], rules=rules
        ... )
        >>> report.decisions[1].tag
        '/Net/Block.0/Linear'

    Returns:
        The report: a decision for every node, subgraphs and functions included.

    Raises:
        FileProblem: A file cannot be read or written as asked.
        ForeignRecordError: The record is of another model.
        UsageError: There is no record and the file carries nothing, or not enough.
    """
    options = options.overridden(**changes)
    options.check()
    source = Path(onnx_path)
    target = None if out_path is None else Path(out_path)
    matching, rules = options.matching, options.rules
    inputs = [source, *filter(None, [matching.probe, matching.reference])]
    inputs += [Path(path) for path in (record, inherit_from) if isinstance(path, str | Path)]
    _refuse_overlap(target, inputs, report)
    step(f"reading {source.name}")
    record, matching = _recorded(record, inherit_from, rules, matching)
    with (
        _report_file(report, inputs, force=force) as report_part,
        OnnxContainer.open(source) as container,
    ):
        skeleton = container.skeleton()
        flat = unfolded(skeleton, str(source))
        model = with_earlier_names(flat, str(source))
        step("matching")
        match = _match(container, model, record, rules, matching)
        if inherit_from is not None:
            match.source = INHERITED
        tagger = Tagger(match.tree, rules)
        for decision in match.decisions:
            if decision.module is not None:
                decision.tag = tagger.tag(decision.module)
        injection = MetadataInjection(
            tagger, torch_keys=options.torch_keys, replace=options.replace_keys
        )
        edits = _edits(model, flat, match, injection, tagger, options, str(source))
        notes = tuple(_notes(model, match, options))
        made, folding = None, None
        if Inject.FUNCTIONS in options.inject:
            step("folding")
            made = _applied(flat, edits)
            folding = _fold(made, match, tagger, options.fold_rules)
            notes += tuple(folding.lines())
        elif flat is not skeleton:
            made = _applied(flat, edits)
            notes += ("the file was folded before: its functions are nodes again",)
        result = _report(source, target, match, notes)
        result.folding = folding
        if report_part is not None:
            report_part.write_bytes(result.to_json())  # first: if it fails, nothing is there
        step("writing")
        if target is not None and made is not None:
            container.write_model(target, made, force=force)
        elif target is not None:
            container.write(target, edits, force=force)
    return result


def _recorded(
    record: Record | str | Path | None,
    inherit_from: str | Path | None,
    rules: TagRules,
    matching: MatchOptions,
) -> tuple[Record | None, MatchOptions]:
    """The record, read or made of an annotated file, and what is left to look at."""
    if record is not None and inherit_from is not None:
        raise UsageError("--from and --record exclude each other: each tells the modules.")
    if isinstance(record, str | Path):
        record = read_record(Path(record))
    if inherit_from is None:
        return record, matching
    made = inherited_record(Path(inherit_from), rules, matching)
    return made, msgspec.structs.replace(matching, probe=None)  # it was for that file


def _applied(flat: onnx.ModelProto, edits: Edits) -> onnx.ModelProto:
    """A copy of a model with the edits made in memory."""
    made = onnx.ModelProto()
    made.CopyFrom(flat)
    apply_edits(made, edits)
    return made


def _edits(
    model: onnx.ModelProto,
    flat: onnx.ModelProto,
    match: Match,
    injection: MetadataInjection,
    tagger: Tagger,
    options: AnnotateOptions,
    where: str,
) -> Edits:
    """What is to be written, in the places that were asked for."""
    inject = options.inject
    tell = Inject.METADATA in inject or Inject.FUNCTIONS in inject
    names = new_names(model, match.decisions, tagger) if Inject.NAMES in inject else {}
    tagged = {d.key: d.tag for d in match.decisions if d.tag is not None}
    entries = model_entries(match.tree, tagger.rules, match.parameters)
    return Edits(
        nodes=_node_entries(model, match, injection) if tell else {},
        model=[*entries, *([names_entry(model, names)] if names else [])],
        attributes=tagged if Inject.ATTRIBUTES in inject else {},
        names=earlier_names(flat, where) | names,
        strip=True,
        replace=options.replace_keys,
    )


def _fold(model: onnx.ModelProto, match: Match, tagger: Tagger, rules: FoldRules) -> FoldReport:
    parameters = InitializerParameters(model, match.tree, match.parameters).parameters
    return fold(model, match.decisions, tagger, parameters, rules)


def _match(
    container: OnnxContainer,
    model: onnx.ModelProto,
    record: Record | None,
    rules: TagRules,
    matching: MatchOptions,
) -> Match:
    where = str(container.path)
    if record is not None:
        with open_sources(container, model, record, matching) as means:
            return match_record(model, record, where, means)
    matching.check()
    match, carried = match_carried(model, where)
    refuse_lossy(carried, rules, where)
    return match


def _node_entries(
    model: onnx.ModelProto, match: Match, injection: MetadataInjection
) -> dict[NodeKey, Entries]:
    pairs = zip(match.decisions, walk_nodes(model), strict=True)
    return {key: injection.node(node, d) for d, (key, node) in pairs if d.module is not None}


def _notes(model: onnx.ModelProto, match: Match, options: AnnotateOptions) -> Iterable[str]:
    if match.source == INHERITED:
        yield "there was no record: the modules were carried over from an annotated file"
    elif match.source not in {"record", OURS}:
        yield f"there was no record: the modules were read from {match.source} in the file"
    elif match.source == OURS:
        yield "there was no record: the modules were read from the file's earlier annotation"
    yield from match.notes
    foreign = sum(1 for _, node in walk_nodes(model) if node.metadata_props and foreign_keys(node))
    if foreign and options.replace_keys:
        yield f"keys of others were replaced on {foreign} nodes: strip cannot bring these back"
    elif foreign:
        yield f"{foreign} nodes keep a namespace or scope of others (--replace-keys overwrites it)"
    if Inject.ATTRIBUTES in options.inject:
        yield "onnxruntime refuses tag attributes on nodes that it fuses; strip takes them out"
    contradicted = sum(1 for decision in match.decisions if decision.contradictions)
    if contradicted:
        yield f"on {contradicted} nodes weaker evidence says otherwise; the report lists it"


def _refuse_overlap(target: Path | None, inputs: list[Path], report: str | Path | None) -> None:
    """Refuse what would be found out too late, or would eat the record."""
    if target is None:
        return
    if any(path.exists() and target.exists() and path.samefile(target) for path in inputs):
        raise FileProblem(f"{target}: the output is also an input; choose another name.")
    if report is not None and Path(report).resolve() == target.resolve():
        raise FileProblem(f"{target}: the report and the output are one file.")


def _report_file(
    report: str | Path | None, inputs: list[Path], *, force: bool
) -> AbstractContextManager[Path | None]:
    """Where to write the report until all is done; refuses at once what could not be written."""
    if report is None:
        return nullcontext()
    return atomic_replacement(Path(report), force=force, inputs=inputs)


def _report(
    source: Path, target: Path | None, match: Match, notes: tuple[str, ...]
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
    )
