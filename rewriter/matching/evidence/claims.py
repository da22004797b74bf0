"""What a kind of evidence says about the nodes of a model."""

import msgspec

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.record import Op


class Claim(msgspec.Struct, frozen=True):
    """One node's module according to one kind of evidence.

    Attributes:
        module: Path of the module.
        kind: The kind of evidence.
        covers: Paths of all modules that it came from, when there are several.
        call: Which call of the module it was, from 0; None when unknown.
    """

    module: str
    kind: str
    covers: tuple[str, ...] = ()
    call: int | None = None


def claim_of(op: Op, module: str, kind: EvidenceKind, tree: ModuleTree) -> Claim:
    """What a recorded op says of the node that it is: its modules, under their ancestor."""
    if not op.also:
        return Claim(module, kind, call=op.call)
    covers = tuple(sorted({module, *op.also}))
    ancestor = tree.common_ancestor(covers)
    return Claim(ancestor, kind, covers, op.call if ancestor == module else None)


class Claims(msgspec.Struct):
    """All that one kind of evidence says.

    Attributes:
        by_node: The claims.
        without_module: Nodes that it matched without learning their module, to the reason.
        reasons: Nodes that it says nothing about, to the reason.
        not_recorded: Nodes of modules that the recorded model does not have.
        overruled: Nodes for which stronger evidence proved it wrong, to what it claimed.
    """

    by_node: dict[NodeKey, Claim] = {}
    without_module: dict[NodeKey, str] = {}
    reasons: dict[NodeKey, str] = {}
    not_recorded: set[NodeKey] = set()
    overruled: dict[NodeKey, str] = {}
