"""Evidence *identity*: the file is the graph that was traced."""

import onnx

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.graph_digest import graph_digest
from modelexport.hierarchy.graph_paths import NodeKey, walk_nodes
from modelexport.hierarchy.record import Record
from modelexport.rewriter.matching.evidence.claims import Claims, claim_of

UNKNOWN_SCOPE = "the record does not know its module"


def is_traced_graph(model: onnx.ModelProto, record: Record) -> bool:
    """Whether a file is the recorded graph, its weights aside.

    Names are compared first, which tells other graphs without making a digest.
    """
    same_names = all(
        op.name == node.name and op.outputs == tuple(node.output)
        for op, (_, node) in zip(record.ops, walk_nodes(model), strict=False)
    )
    return same_names and graph_digest(model) == record.digest


def identity_claims(record: Record) -> Claims:
    """What the record says of the traced graph: each op is the node at its place."""
    claims = Claims()
    for op in record.ops:
        key = NodeKey(op.graph, op.index)
        if op.module is None:
            claims.without_module[key] = UNKNOWN_SCOPE
        else:
            claims.by_node[key] = claim_of(op, op.module, EvidenceKind.IDENTITY, record.tree)
    return claims
