"""Evidence *identity*: the file is the graph that was traced."""

import onnx

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.graph_digest import graph_digest
from modelexport.hierarchy.graph_paths import NodeKey, walk_nodes
from modelexport.hierarchy.record import Record
from modelexport.rewriter.matching.evidence.claims import Claims, claim_of

UNKNOWN_SCOPE = "the record does not know its module"


class Identity:
    """The digest of the file is the record's, so every recorded op is the node at its place."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = model

    def holds(self, record: Record) -> bool:
        """Whether the file is the recorded graph; what is called otherwise is seen at once."""
        nodes = walk_nodes(self._model)
        alike = all(
            op.name == node.name and op.outputs == tuple(node.output)
            for op, (_, node) in zip(record.ops, nodes, strict=False)
        )
        return alike and graph_digest(self._model) == record.digest

    def claims(self, record: Record) -> Claims:
        """What the record says, node by node."""
        found = Claims()
        for op in record.ops:
            key = NodeKey(op.graph, op.index)
            if op.module is None:
                found.without_module[key] = UNKNOWN_SCOPE
            else:
                found.by_node[key] = claim_of(op, op.module, EvidenceKind.IDENTITY, record.tree)
        return found
