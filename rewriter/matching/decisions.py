"""One decision for each node: which of several kinds of evidence to believe.

The strongest kind that makes a claim about a node decides. A weaker claim of another module is
noted as a contradiction, never averaged. Propagation comes last, for nodes that lie between decided
nodes. An undecided node keeps the reason.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import onnx

from modelexport.hierarchy.graph_paths import NodeKey, op_type
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.tags import Tagger
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.claims import Claim, Claims
from modelexport.rewriter.matching.evidence.propagation import propagate

_NO_EVIDENCE = "no evidence speaks of it"


class Candidate(msgspec.Struct, frozen=True, omit_defaults=True):
    """A recorded op that a node may have been.

    Attributes:
        op: Its name.
        op_type: Its operator.
        module: Its module.
        score: The votes of decided neighbours and of weights for it, less the votes against it.
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


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
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
        source_lines: Lines of Python (`file:line`) behind the recorded ops whose work it does.
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
    source_lines: tuple[str, ...] = ()

    @property
    def key(self) -> NodeKey:
        """Its address."""
        return NodeKey(self.graph, self.position)


class Match(msgspec.Struct, frozen=True):
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

    def tagged(self, tagger: Tagger) -> "Match":
        """The same with the tag of each resolved node."""
        decisions = [
            decision
            if decision.module is None
            else msgspec.structs.replace(decision, tag=tagger.tag(decision.module))
            for decision in self.decisions
        ]
        return msgspec.structs.replace(self, decisions=decisions)


def decide(
    graph: ModelGraph,
    tree: ModuleTree,
    claims: Sequence[Claims],
    *,
    propagation: bool = True,
    constants_only: bool = False,
) -> list[Decision]:
    """Decide by the claims, then by propagation, and make a decision for every node.

    Args:
        graph: The nodes of the file.
        tree: Its modules.
        claims: What the kinds of evidence say, the strongest first.
        propagation: Whether propagation may be used.
        constants_only: Whether propagation may decide about constants only. This is needed if the
            evidence may leave out whole modules: then a node's neighbours may belong to modules
            that nothing shows.
    """
    settled, contradictions = _settle(claims)
    without_module = {key: why for kind in claims for key, why in kind.without_module.items()}
    spread = Claims()
    if propagation:
        modules = {key: claim.module for key, claim in settled.items()}
        foreign = {key for kind in claims for key in kind.not_recorded}
        spread = propagate(graph, tree, without_module, modules, foreign)
    propagated = spread.by_node
    if constants_only:
        constants = {key for key, flag in zip(graph.keys, graph.derived, strict=True) if flag}
        propagated = {key: claim for key, claim in propagated.items() if key in constants}
    settled |= propagated
    reasons: dict[NodeKey, list[str]] = {}
    for by_key in (*(kind.reasons for kind in claims), without_module, spread.reasons):
        for key, reason in by_key.items():
            reasons.setdefault(key, []).append(reason)
    return [
        _decision(key, node, settled.get(key), reasons.get(key, []), contradictions.get(key, ()))
        for key, node in zip(graph.keys, graph.nodes, strict=True)
    ]


def with_source_lines(
    decisions: Sequence[Decision], lines: Mapping[NodeKey, tuple[str, ...]]
) -> list[Decision]:
    """The decisions, with the source lines of the nodes that have some."""
    return [
        msgspec.structs.replace(decision, source_lines=lines[decision.key])
        if lines.get(decision.key)
        else decision
        for decision in decisions
    ]


def _settle(
    claims: Sequence[Claims],
) -> tuple[dict[NodeKey, Claim], dict[NodeKey, tuple[str, ...]]]:
    """The strongest claim of each node, and what contradicts it."""
    settled: dict[NodeKey, Claim] = {}
    contradictions: dict[NodeKey, tuple[str, ...]] = {}
    for kind in claims:
        for key, claim in kind.by_node.items():
            strongest = settled.setdefault(key, claim)
            if strongest.module != claim.module:
                text = f"{claim.kind} says {claim.module or 'the root'}"
                contradictions[key] = (*contradictions.get(key, ()), text)
    for kind in claims:
        for key, text in kind.overruled.items():
            contradictions[key] = (*contradictions.get(key, ()), text)
    return settled, contradictions


def _decision(
    key: NodeKey,
    node: onnx.NodeProto,
    claim: Claim | None,
    reasons: Sequence[str],
    contradictions: tuple[str, ...],
) -> Decision:
    name, kind = node.name, op_type(node)
    if claim is None:
        reason = "; ".join(reasons) or _NO_EVIDENCE
        return Decision(key.graph, key.position, name, kind, reason=reason)
    return Decision(
        key.graph,
        key.position,
        name,
        kind,
        module=claim.module,
        evidence=claim.kind,
        covers=claim.covers,
        call=claim.call,
        contradictions=contradictions,
    )
