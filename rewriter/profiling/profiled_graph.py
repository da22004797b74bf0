"""The graph that a profile is joined with: its nodes by name, and the work of each by module."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from modelexport.hierarchy.graph_paths import op_type
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching import Decision
from modelexport.rewriter.profiling.work_by_module import Work, WorkByModule, WorkCounter, add_works


@dataclass(frozen=True)
class ProfiledNode:
    """A node that a runtime may run.

    Attributes:
        name: Its name.
        op_type: Its operator.
        works: Its work by module; empty where no module is known.
        reason: Why no module is known.
    """

    name: str
    op_type: str
    works: WorkByModule
    reason: str | None = None


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
        """The numbers of the nodes of each name."""
        numbers: dict[str, list[int]] = {}
        for number, node in enumerate(self.nodes):
            if node.name:
                numbers.setdefault(node.name, []).append(number)
        return numbers


def graph_of_file(file: PlacedFile, dims: Mapping[str, int]) -> ProfiledGraph:
    """The nodes of a file as it is.

    Args:
        file: The file, with the modules of its nodes.
        dims: Sizes of open dimensions by their names.
    """
    counter = WorkCounter(file, dims)
    reasons = file.hierarchy.claims.reasons
    nodes = tuple(
        ProfiledNode(
            proto.name,
            kind,
            counter.count(number),
            reasons.get(file.graph.keys[number], "the node has no module"),
        )
        for number, (proto, kind) in enumerate(zip(file.graph.nodes, file.op_types, strict=True))
    )
    return ProfiledGraph(nodes, file.tree, file.graph)


def graph_of_optimised(
    graph: ModelGraph, decisions: Sequence[Decision], file: PlacedFile, dims: Mapping[str, int]
) -> ProfiledGraph:
    """The nodes of the optimised form of a file, with the work of the nodes that each does.

    Args:
        graph: Of the optimised form.
        decisions: One for each of its nodes: which nodes of the file it does.
        file: The file.
        dims: Sizes of open dimensions by their names.
    """
    counter = WorkCounter(file, dims)
    originals: dict[str, list[int]] = {}
    for number, (key, proto) in enumerate(zip(file.graph.keys, file.graph.nodes, strict=True)):
        output = next(filter(None, proto.output), f"{key.graph}#{key.position}")
        originals.setdefault(proto.name or output, []).append(number)
    nodes = tuple(
        ProfiledNode(
            proto.name, op_type(proto), _works(decision, originals, counter), decision.reason
        )
        for proto, decision in zip(graph.nodes, decisions, strict=True)
    )
    return ProfiledGraph(nodes, file.tree, graph)


def _works(
    decision: Decision, originals: Mapping[str, list[int]], counter: WorkCounter
) -> WorkByModule:
    """The work of an optimised node: that of the nodes that it does, for the modules it covers."""
    if decision.module is None:
        return {}
    covers = decision.covers or (decision.module,)
    if len(covers) == 1:
        return {covers[0]: Work()}
    parts = [counter.count(n) for name in decision.origins for n in originals.get(name, ())]
    total = add_works(*parts)
    return {module: total.get(module, Work()) for module in covers}
