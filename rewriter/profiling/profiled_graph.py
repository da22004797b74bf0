"""The graph that a profile is joined with: its nodes by name, and the work of each by module."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.module_tree import ROOT, ModuleTree
from modelexport.rewriter.analysis.costs import WorkByModule
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.graph.operators import is_quantiser
from modelexport.rewriter.matching import Claim
from modelexport.rewriter.profiling.file_work import FileWork, WorkByLine

UNSURE = frozenset({None, EvidenceKind.STRUCTURE, EvidenceKind.PROPAGATION})
"""Evidence of decisions that go by the neighbours alone."""


@dataclass(frozen=True)
class ProfiledNode:
    """A node that a runtime may run.

    Attributes:
        name: Its name.
        op_type: Its operator.
        works: Its work by module; empty where no module is known.
        reason: Why no module is known.
        line_works: Its work by source line; empty where no line is known.
        is_root_op: Whether it is known to be an op of the root's own forward.
    """

    name: str
    op_type: str
    works: WorkByModule
    reason: str | None = None
    line_works: WorkByLine = field(default_factory=dict)
    is_root_op: bool = False


@dataclass(frozen=True)
class ProfiledGraph:
    """The nodes of a file, or of its optimised form.

    Attributes:
        nodes: The nodes, in the order of the file.
        tree: The modules.
        graph: The indexed view of the graph; its nodes have the same numbers.
    """

    nodes: tuple[ProfiledNode, ...]
    tree: ModuleTree
    graph: ModelGraph

    def by_name(self) -> dict[str, list[int]]:
        """The numbers of the nodes of each name.

        Runtimes call some layers by the value that they compute: openvino those that compute an
        output of the model. So the name of a value stands for the node that computes it, where no
        node has that name.
        """
        numbers: dict[str, list[int]] = {}
        for number, node in enumerate(self.nodes):
            if node.name:
                numbers.setdefault(node.name, []).append(number)
        values = {
            name: [number]
            for number, node in enumerate(self.graph.nodes)
            for name in node.output
            if name
        }
        return values | numbers


def is_root_op(claim: Claim | None, kind: str) -> bool:
    """Whether a node is known to be an op of the root's own forward.

    The root is also the common ancestor where nothing better is known, and of what several modules
    share. That is no work of its own.

    Args:
        claim: The module of the node; None where no module is known.
        kind: Its operator.
    """
    if claim is None or claim.module != ROOT or claim.covers or is_quantiser(kind):
        return False
    return claim.kind not in UNSURE


def graph_of_file(file: PlacedFile, dims: Mapping[str, int]) -> ProfiledGraph:
    """The nodes of a file as it is.

    Args:
        file: The file, with the modules of its nodes.
        dims: Sizes of open dimensions by their names.
    """
    work = FileWork(file, dims)
    reasons = file.hierarchy.claims.reasons
    nodes = tuple(
        ProfiledNode(
            proto.name,
            kind,
            work.by_module(number),
            reasons.get(file.graph.keys[number], "the node has no module"),
            work.by_line(number),
            is_root_op(file.claims[number], kind),
        )
        for number, (proto, kind) in enumerate(zip(file.graph.nodes, file.op_types, strict=True))
    )
    return ProfiledGraph(nodes, file.tree, file.graph)
