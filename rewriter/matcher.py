"""Evidence in, one decision per node out.

The kinds of evidence speak in the order of their strength. The first that claims a node has
it; a weaker claim of another module is noted as a contradiction, never averaged. Propagation
speaks last, about what is between settled nodes. A node that nothing settles keeps a reason.
"""

from collections import Counter

import msgspec
import onnx

from hierarchy.errors import UsageError
from hierarchy.graphs import NodeKey, op_type
from hierarchy.module_tree import ModuleTree
from hierarchy.record import Record
from rewriter import kinship
from rewriter.evidence import carried as own
from rewriter.evidence.carried import Carried
from rewriter.evidence.claims import Claim, Claims
from rewriter.evidence.identity import Identity
from rewriter.evidence.names import Names
from rewriter.evidence.propagation import Propagation
from rewriter.flow import Flow

_UNSPOKEN = "no evidence speaks of it"


class Decision(msgspec.Struct, omit_defaults=True):
    """What was decided about one node, and why.

    Attributes:
        graph, position: Its address, see `hierarchy.graphs`.
        name, op_type: As the file has them.
        module: Path of its module; None when unresolved.
        tag: The tag that was written.
        evidence: The kind of evidence that settled it.
        covers: Module paths of all its origins, when there are several.
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
    """

    decisions: list[Decision]
    tree: ModuleTree
    parameters: dict[str, str]
    source: str

    def counts(self) -> dict[str, int]:
        """How many nodes each kind of evidence settled."""
        return dict(Counter(d.evidence for d in self.decisions if d.evidence is not None))


def match_record(model: onnx.ModelProto, record: Record, where: str) -> Match:
    """Match a model with a record.

    Args:
        model: The model, or its skeleton without weights.
        record: Of the model.
        where: The file, for messages.

    Raises:
        ForeignRecordError: The record is of another model.
    """
    flow = Flow(model)
    identity = Identity(model)
    parameters = {t.name: t.parameter for t in record.tensors if t.parameter is not None}
    if identity.holds(record):
        spoken = [identity.claims(record)]
    else:
        names = Names(flow, record)
        kinship.refuse_foreign(kinship.compare(model, record), len(names.pairs), len(flow), where)
        spoken = [names.claims()]
    return Match(_decide(flow, record.tree, spoken), record.tree, parameters, "record")


def match_carried(model: onnx.ModelProto, where: str) -> tuple[Match, Carried]:
    """Match a model with what it carries itself.

    Raises:
        UsageError: It carries nothing that tells modules.
    """
    flow = Flow(model)
    carried = own.read(model, flow, where)
    if carried is None:
        raise UsageError(
            f"{where}: the file carries no hierarchy of its own (no tags, no torch metadata, "
            "no scoped node names): give the record of its model with --record."
        )
    tree = ModuleTree(carried.modules)
    decisions = _decide(flow, tree, [carried.claims])
    return Match(decisions, tree, carried.parameters, carried.scheme), carried


def _decide(flow: Flow, tree: ModuleTree, spoken: list[Claims]) -> list[Decision]:
    """Settle the claims, strongest first, let propagation fill in, and write it all down."""
    settled: dict[NodeKey, Claim] = {}
    contradictions: dict[NodeKey, tuple[str, ...]] = {}
    for claims in spoken:
        for key, claim in claims.by_node.items():
            first = settled.setdefault(key, claim)
            if first.module != claim.module:
                noted = f"{claim.kind} says {claim.module or 'the root'}"
                contradictions[key] = (*contradictions.get(key, ()), noted)
    known = {key: reason for claims in spoken for key, reason in claims.known.items()}
    spread = Propagation(flow, tree, known).claims({k: c.module for k, c in settled.items()})
    settled |= spread.by_node
    reasons: dict[NodeKey, list[str]] = {}
    for claims in (*spoken, Claims(reasons=known), spread):
        for key, reason in claims.reasons.items():
            reasons.setdefault(key, []).append(reason)
    return [
        _decision(key, node, settled.get(key), reasons.get(key, []), contradictions.get(key, ()))
        for key, node in zip(flow.keys, flow.nodes, strict=True)
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
