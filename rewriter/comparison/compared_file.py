"""The two files of a comparison, each with the module of every node."""

from collections import Counter
from functools import cached_property

import msgspec

from modelexport.errors import UsageError
from modelexport.hierarchy.annotate_options import MatchOptions
from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.graph_paths import op_type
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.record import Record
from modelexport.rewriter.analysis.costs import StoredWeight, stored_weights
from modelexport.rewriter.annotation.annotate_file import annotate
from modelexport.rewriter.container import OnnxContainer
from modelexport.rewriter.folding import unfolded
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching import (
    OURS,
    CarriedHierarchy,
    Claim,
    Claims,
    read_carried_hierarchy,
)


class Side:
    """One file.

    Args:
        container: The file.

    Attributes:
        path: Where it is.
        container: The file.
        model: Its model, functions that folding made being nodes again.
        graph: Its nodes, and how they depend on each other.
        carried: Its hierarchy; None until it is told.
    """

    def __init__(self, container: OnnxContainer) -> None:
        self.path = container.path
        self.container = container
        self.model = unfolded(container.skeleton(), str(self.path))
        self.graph = ModelGraph(self.model)
        self.carried: CarriedHierarchy | None = read_carried_hierarchy(
            self.model, self.graph, str(self.path)
        )

    @property
    def annotated(self) -> bool:
        """Whether it carries tags of our own."""
        return self.carried is not None and self.carried.scheme == OURS

    @property
    def hierarchy(self) -> CarriedHierarchy:
        """Its hierarchy, told."""
        assert self.carried is not None
        return self.carried

    @cached_property
    def tree(self) -> ModuleTree:
        """Its modules."""
        return ModuleTree(self.hierarchy.modules)

    @cached_property
    def claims(self) -> list[Claim | None]:
        """The module of each node, in the order of `walk_nodes`."""
        found = self.hierarchy.claims.by_node
        return [found.get(key) for key in self.graph.keys]

    @cached_property
    def weights(self) -> list[StoredWeight]:
        """What it stores."""
        modules = [None if claim is None else claim.module for claim in self.claims]
        return stored_weights(self.model, self.graph, self.tree, modules, self.hierarchy.parameters)

    def operators(self) -> Counter[str]:
        """How often it has each operator."""
        return Counter(op_type(node) for node in self.graph.nodes)

    def untagged(self) -> Counter[str]:
        """Of the nodes without a module."""
        pairs = zip(self.graph.nodes, self.claims, strict=True)
        return Counter(op_type(node) for node, claim in pairs if claim is None)


def tell(sides: tuple[Side, Side], record: Record | None, *, run: bool) -> list[str]:
    """Find the hierarchy of a file that carries none: by the record, else from the other file.

    Returns:
        What was done, in sentences.

    Raises:
        ForeignRecordError: A file is not one of the model.
        UsageError: Nothing tells the modules of a file.
    """
    notes: list[str] = []
    for side, other in (sides, sides[::-1]):
        if side.annotated:
            continue
        name = side.path.name
        if record is not None:
            side.carried = _matched(side, record, run=run)
            notes.append(f"{name} is not annotated: it was matched with the record")
        elif other.annotated:
            side.carried = _inherited(side, other, run=run)
            notes.append(f"{name} is not annotated: it was matched with {other.path.name}")
        elif side.carried is None:
            raise UsageError(
                f"{side.path}: it carries no hierarchy: annotate it first, or give --record."
            )
        else:
            notes.append(f"the modules of {name} were read from its {side.carried.scheme}")
    return notes


def _matched(side: Side, record: Record, *, run: bool) -> CarriedHierarchy:
    report = annotate(side.path, record, None, matching=MatchOptions(run=run))
    held = {t.name: t.parameter for t in record.tensors if t.parameter is not None}
    claims = _claims(side, [(d.module, d.evidence, d.covers) for d in report.decisions])
    return CarriedHierarchy("the record", record.modules, claims, parameters=held)


def _inherited(side: Side, other: Side, *, run: bool) -> CarriedHierarchy:
    carried = other.hierarchy
    report = annotate(
        side.path,
        None,
        None,
        inherit_from=other.path,
        matching=MatchOptions(run=run),
        rules=carried.rules,
    )
    claims = _claims(side, [(d.module, d.evidence, d.covers) for d in report.decisions])
    return msgspec.structs.replace(carried, scheme=other.path.name, claims=claims)


def _claims(side: Side, decided: list[tuple[str | None, str | None, tuple[str, ...]]]) -> Claims:
    return Claims(
        {
            key: Claim(module, evidence or EvidenceKind.CARRIED, covers)
            for key, (module, evidence, covers) in zip(side.graph.keys, decided, strict=True)
            if module is not None
        }
    )
