"""Evidence in, one decision per node out.

The kinds of evidence speak in the order of their strength. The first that claims a node has
it; a weaker claim of another module is noted as a contradiction, never averaged. Propagation
speaks last, about what is between settled nodes. A node that nothing settles keeps a reason.
"""

from collections import Counter
from collections.abc import Iterator

import msgspec
import onnx

from modelexport.errors import UsageError
from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.graph_paths import NodeKey, op_type
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.record import Op, Record
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.alignment.aligner import Alternative
from modelexport.rewriter.matching.evidence import carried as own
from modelexport.rewriter.matching.evidence.carried import WEIGHT_NAMES, Carried
from modelexport.rewriter.matching.evidence.claims import Claim, Claims
from modelexport.rewriter.matching.evidence.identity import Identity
from modelexport.rewriter.matching.evidence.propagation import Propagation
from modelexport.rewriter.matching.evidence.weights import other_weights
from modelexport.rewriter.matching.recognizer import MatchSources, recognise

RECORD = "record"
"""The source of a match with a record, see `Match.source`."""

_MOST_CANDIDATES = 6
"""A report shows no more of them for a node."""

_UNSPOKEN = "no evidence speaks of it"


class Candidate(msgspec.Struct, frozen=True, omit_defaults=True):
    """A recorded op that a node may have been.

    Attributes:
        op: Its name.
        op_type: Its operator.
        module: Its module.
        score: Settled neighbours and weights that speak for it, less those against it.
        distance: How far its result is from the node's, over the magnitude; None when they
            were not compared.
        verdict: Whether it was taken, or why not.
    """

    op: str
    op_type: str
    module: str | None
    score: float
    distance: float | None = None
    verdict: str = ""


class Decision(msgspec.Struct, omit_defaults=True):
    """What was decided about one node, and why.

    Attributes:
        graph, position: Its address, see `hierarchy.graph_paths`.
        name, op_type: As the file has them.
        module: Path of its module; None when unresolved.
        tag: The tag that was written.
        evidence: The kind of evidence that settled it.
        covers: Module paths of all its origins, when there are several.
        origins: Names of the recorded ops whose work it does.
        candidates: Recorded ops that were weighed for it, the best first, when there were any.
        call: Which call of the module it ran in, from 0; None when unknown.
        reason: Why it is unresolved.
        contradictions: Weaker evidence that says otherwise.
    """

    graph: str
    position: int
    name: str
    op_type: str
    module: str | None = None
    tag: str | None = None
    evidence: str | None = None
    covers: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    call: int | None = None
    reason: str | None = None
    contradictions: tuple[str, ...] = ()

    @property
    def key(self) -> NodeKey:
        """Its address."""
        return NodeKey(self.graph, self.position)


class Match(msgspec.Struct):
    """What the evidence says of a whole model.

    Attributes:
        decisions: One for each node, in the order of `walk_nodes`.
        tree: The modules.
        parameters: Initializer name to the parameter that it holds.
        source: Where the modules come from: the record, or what the file carries.
        notes: What the user should know about the matching.
    """

    decisions: list[Decision]
    tree: ModuleTree
    parameters: dict[str, str]
    source: str
    notes: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        """How many nodes each kind of evidence settled."""
        return dict(Counter(d.evidence for d in self.decisions if d.evidence is not None))


def match_record(
    model: onnx.ModelProto, record: Record, where: str, means: MatchSources | None = None
) -> Match:
    """Match a model with a record.

    Args:
        model: The model, or its skeleton without weights.
        record: Of the model.
        where: The file, for messages.
        means: What may be looked at beyond the graph; by default nothing.

    Raises:
        ForeignRecordError: The record is of another model.
    """
    identity = Identity(model)
    means = means or MatchSources()
    parameters = {t.name: t.parameter for t in record.tensors if t.parameter is not None}
    notes: tuple[str, ...] = ()
    weighed: dict[int, tuple[Candidate, ...]] = {}
    origins: dict[int, tuple[str, ...]] = {}
    if EvidenceKind.IDENTITY in means.evidence and identity.holds(record):
        graph = ModelGraph(model)
        spoken = [identity.claims(record)]
        notes = tuple(filter(None, [other_weights(model, record, means.read)]))
    else:
        found = recognise(model, record, where, means)
        graph, spoken, notes = found.graph, found.claims, found.notes
        origins = {
            n: tuple(_name(record.ops[op]) for op in ops) for n, ops in found.origins.items()
        }
        weighed = {
            node: tuple(_candidates(record, rated, found.origins.get(node, ())))
            for node, rated in found.considered.items()
        }
        parameters = found.parameters or parameters
    decisions = _decide(
        graph, record.tree, spoken, spreading=EvidenceKind.PROPAGATION in means.evidence
    )
    for node, decision in enumerate(decisions):
        decision.origins = origins.get(node, ())
        decision.candidates = weighed.get(node, ())
    return Match(decisions, record.tree, parameters, RECORD, notes)


def _candidates(
    record: Record, rated: list[Alternative], taken: tuple[int, ...]
) -> Iterator[Candidate]:
    """The best of the weighed ops, each with what became of it."""
    best = max((each.score for each in rated), default=0.0)
    for each in sorted(rated, key=lambda other: -other.score)[:_MOST_CANDIDATES]:
        op = record.ops[each.op]
        if each.op in taken:
            verdict = "taken"
        elif each.score < best:
            verdict = "its neighbours or weights speak less for it"
        elif each.score <= 0:
            verdict = "nothing speaks for it"
        elif any(other.op in taken for other in rated):
            verdict = "as good, but another node does its work"
        else:
            verdict = "as good as others, and nothing decides"
        yield Candidate(_name(op), op.op_type, op.module, each.score, each.distance, verdict)


def _name(op: Op) -> str:
    return op.name or next(iter(filter(None, op.outputs)), f"{op.graph}#{op.index}")


def match_carried(model: onnx.ModelProto, where: str) -> tuple[Match, Carried]:
    """Match a model with what it carries itself.

    Raises:
        UsageError: It carries nothing that tells modules.
    """
    graph = ModelGraph(model)
    carried = own.read(model, graph, where)
    if carried is None:
        raise UsageError(
            f"{where}: the file carries no hierarchy of its own (no tags, no torch metadata, "
            "no scoped node names, no weights named by module): give the record of its model "
            "with --record."
        )
    tree = ModuleTree(carried.modules)
    sparse = carried.scheme == WEIGHT_NAMES
    decisions = _decide(graph, tree, [carried.claims], sparse=sparse)
    return Match(decisions, tree, carried.parameters, carried.scheme), carried


def _decide(
    graph: ModelGraph,
    tree: ModuleTree,
    spoken: list[Claims],
    *,
    spreading: bool = True,
    sparse: bool = False,
) -> list[Decision]:
    """Settle the claims, strongest first, let propagation fill in, and write it all down.

    Args:
        graph: The nodes of the file.
        tree: Its modules.
        spoken: What the kinds of evidence say, the strongest first.
        spreading: Whether propagation may speak.
        sparse: Whether the evidence leaves out whole modules: then the neighbours that it knows
            are not all there are, and only constants follow their users.
    """
    settled: dict[NodeKey, Claim] = {}
    contradictions: dict[NodeKey, tuple[str, ...]] = {}
    for claims in spoken:
        for key, claim in claims.by_node.items():
            first = settled.setdefault(key, claim)
            if first.module != claim.module:
                noted = f"{claim.kind} says {claim.module or 'the root'}"
                contradictions[key] = (*contradictions.get(key, ()), noted)
    for claims in spoken:
        for key, said in claims.overruled.items():
            contradictions[key] = (*contradictions.get(key, ()), said)
    known = {key: reason for claims in spoken for key, reason in claims.without_module.items()}
    spread = Claims()
    if spreading:
        spread = Propagation(graph, tree, known).claims({k: c.module for k, c in settled.items()})
    if sparse:
        constant = {key for key, derived in zip(graph.keys, graph.derived, strict=True) if derived}
        spread.by_node = {key: c for key, c in spread.by_node.items() if key in constant}
    settled |= spread.by_node
    reasons: dict[NodeKey, list[str]] = {}
    for claims in (*spoken, Claims(reasons=known), spread):
        for key, reason in claims.reasons.items():
            reasons.setdefault(key, []).append(reason)
    return [
        _decision(key, node, settled.get(key), reasons.get(key, []), contradictions.get(key, ()))
        for key, node in zip(graph.keys, graph.nodes, strict=True)
    ]


def _decision(
    key: NodeKey,
    node: onnx.NodeProto,
    claim: Claim | None,
    reasons: list[str],
    contradictions: tuple[str, ...],
) -> Decision:
    found = Decision(key.graph, key.position, node.name, op_type(node))
    if claim is None:
        found.reason = "; ".join(reasons) or _UNSPOKEN
    else:
        found.module, found.evidence, found.covers = claim.module, claim.kind, claim.covers
        found.call = claim.call
        found.contradictions = contradictions
    return found
