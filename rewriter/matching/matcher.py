"""Matching the nodes of a file: with a record, or with what the file itself carries."""

from collections.abc import Collection, Sequence

import msgspec
import onnx

from modelexport.errors import UsageError
from modelexport.hierarchy.annotate_options import MatchOptions
from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.hierarchy.record import Op, Record
from modelexport.hierarchy.source_lines import lines_of_ops
from modelexport.rewriter.container import OnnxContainer
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.alignment.scorer import ScoredOp
from modelexport.rewriter.matching.decisions import (
    Candidate,
    Decision,
    Match,
    decide,
    with_source_lines,
)
from modelexport.rewriter.matching.evidence.carried import read_carried_hierarchy
from modelexport.rewriter.matching.evidence.carried_hierarchy import (
    TREE_NAMES,
    WEIGHT_NAMES,
    CarriedHierarchy,
)
from modelexport.rewriter.matching.evidence.identity import identity_claims, is_traced_graph
from modelexport.rewriter.matching.evidence.retraining import find_retraining
from modelexport.rewriter.matching.match_sources import MatchSources, open_sources
from modelexport.rewriter.matching.recognizer import Recognition, recognise_file
from modelexport.rewriter.matching.thresholds import MOST_CANDIDATES

RECORD = "record"
"""Source of a match with a record."""


def match_file(
    container: OnnxContainer,
    model: onnx.ModelProto,
    record: Record,
    options: MatchOptions = MatchOptions(),  # noqa: B008 - frozen
) -> Match:
    """Match a file with a record.

    Args:
        container: The file.
        model: Its model: the container's skeleton, or what became of that.
        record: The record.
        options: What may be looked at.

    Returns:
        A decision for every node.

    Raises:
        FileProblem: The reference or the inputs cannot be read.
        ForeignRecordError: The record is of another model.
        RecordError: The reference is not the file that was traced.
        UsageError: Options contradict each other.
    """
    with open_sources(container, model, record, options) as sources:
        return match_record(model, record, str(container.path), sources)


def match_record(
    model: onnx.ModelProto,
    record: Record,
    where: str,
    sources: MatchSources = MatchSources(),  # noqa: B008 - frozen
) -> Match:
    """Match a model with a record.

    Args:
        model: The model, or its skeleton without weights.
        record: The record.
        where: The file, for messages.
        sources: What may be looked at besides the graph; by default nothing.

    Raises:
        ForeignRecordError: The record is of another model.
    """
    if EvidenceKind.IDENTITY in sources.evidence and is_traced_graph(model, record):
        return _match_traced(model, record, sources)
    recognition = recognise_file(model, record, where, sources)
    propagation = EvidenceKind.PROPAGATION in sources.evidence
    decisions = decide(recognition.graph, record.tree, recognition.claims, propagation=propagation)
    decisions = [
        _with_origins(decision, node, record, recognition)
        for node, decision in enumerate(decisions)
    ]
    parameters = recognition.parameters or _recorded_parameters(record)
    return Match(decisions, record.tree, parameters, RECORD, recognition.notes)


def _match_traced(model: onnx.ModelProto, record: Record, sources: MatchSources) -> Match:
    propagation = EvidenceKind.PROPAGATION in sources.evidence
    claims = [identity_claims(record)]
    decisions = decide(ModelGraph(model), record.tree, claims, propagation=propagation)
    decisions = with_source_lines(
        decisions, {NodeKey(op.graph, op.index): lines_of_ops([op]) for op in record.ops}
    )
    note = find_retraining(model, record, sources.read)
    notes = (note,) if note else ()
    return Match(decisions, record.tree, _recorded_parameters(record), RECORD, notes)


def _recorded_parameters(record: Record) -> dict[str, str]:
    return {t.name: t.parameter for t in record.tensors if t.parameter is not None}


def _with_origins(
    decision: Decision, node: int, record: Record, recognition: Recognition
) -> Decision:
    """A decision with the recorded ops whose work the node does, and those that were weighed."""
    origins = recognition.origins.get(node, ())
    weighed = recognition.weighed.get(node, ())
    return msgspec.structs.replace(
        decision,
        origins=tuple(_op_name(record.ops[op]) for op in origins),
        candidates=_candidates(record, weighed, origins),
        source_lines=lines_of_ops(record.ops[op] for op in origins),
    )


def _candidates(
    record: Record, weighed: Sequence[ScoredOp], used: Collection[int]
) -> tuple[Candidate, ...]:
    """The best of the weighed ops, each with what became of it."""
    best = sorted(weighed, key=lambda alternative: -alternative.score)[:MOST_CANDIDATES]
    return tuple(
        Candidate(
            _op_name(record.ops[alternative.op]),
            record.ops[alternative.op].op_type,
            record.ops[alternative.op].module,
            alternative.score,
            alternative.distance,
            _verdict(alternative, weighed, used),
        )
        for alternative in best
    )


def _verdict(alternative: ScoredOp, weighed: Sequence[ScoredOp], used: Collection[int]) -> str:
    if alternative.op in used:
        return "taken"
    if alternative.score < max(other.score for other in weighed):
        return "its neighbours or weights speak less for it"
    if alternative.score <= 0:
        return "nothing speaks for it"
    if any(other.op in used for other in weighed):
        return "as good, but another node does its work"
    return "as good as others, and nothing decides"


def _op_name(op: Op) -> str:
    return op.name or next(filter(None, op.outputs), f"{op.graph}#{op.index}")


def match_carried(model: onnx.ModelProto, where: str) -> tuple[Match, CarriedHierarchy]:
    """Match a model with what it carries itself.

    Args:
        model: The model, or its skeleton without weights.
        where: The file, for messages.

    Raises:
        UsageError: It carries nothing that tells modules.
    """
    graph = ModelGraph(model)
    carried = read_carried_hierarchy(model, graph, where)
    if carried is None:
        raise UsageError(
            f"{where}: the file carries no hierarchy of its own (no tags, no torch metadata, "
            "no node names that nest, no weights named by module): give the record of its model "
            "with --record."
        )
    tree = carried.tree
    # names of weights leave out the modules that have none
    constants_only = carried.scheme in {WEIGHT_NAMES, TREE_NAMES}
    decisions = decide(graph, tree, [carried.claims], constants_only=constants_only)
    decisions = with_source_lines(decisions, carried.source_lines)
    return Match(decisions, tree, carried.parameters, carried.scheme, carried.notes), carried
