"""The graph that onnxruntime made of a file: which work of which modules each of its nodes does.

The optimised form was matched with the file. What onnxruntime itself tells is added: a node that
kept its name and its operator is the file's node. What it or a quantiser inserted serves a
neighbour.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.graph_paths import op_type
from modelexport.hierarchy.module_tree import ROOT, ModuleTree
from modelexport.rewriter.analysis.costs import Work, WorkByModule, add_works, choose_module
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.graph.operators import real_operator
from modelexport.rewriter.matching import Decision
from modelexport.rewriter.profiling.file_work import FileWork, WorkByLine
from modelexport.rewriter.profiling.profiled_graph import (
    UNSURE,
    ProfiledGraph,
    ProfiledNode,
    is_root_op,
)

_BY_NAME = frozenset({EvidenceKind.IDENTITY, EvidenceKind.NAMES})
"""Evidence by which a node itself is known. Other kinds go by what it computes or is near to."""


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
    originals = _OriginalNodes(file, dims, decisions)
    nodes = [
        ProfiledNode(
            proto.name,
            op_type(proto),
            originals.works(decision, proto.name, op_type(proto)),
            decision.reason,
            originals.line_works(decision, proto.name, op_type(proto)),
            originals.is_root_op(decision, proto.name, op_type(proto)),
        )
        for proto, decision in zip(graph.nodes, decisions, strict=True)
    ]
    inserted = [
        number
        for number, (node, decision) in enumerate(zip(nodes, decisions, strict=True))
        if originals.is_inserted(node, decision, auxiliary=graph.is_auxiliary(number))
    ]
    modules = _modules_of_inserted(inserted, nodes, graph, file.tree)
    for number, module in modules.items():
        nodes[number] = replace(nodes[number], works={module: Work()}, is_root_op=False)
    return ProfiledGraph(tuple(nodes), file.tree, graph)


class _OriginalNodes:
    """The nodes of a file, as the nodes of its optimised form refer to them.

    Args:
        file: The file.
        dims: Sizes of open dimensions by their names.
        decisions: Which of them the optimised nodes do.
    """

    def __init__(
        self, file: PlacedFile, dims: Mapping[str, int], decisions: Sequence[Decision]
    ) -> None:
        self._file = file
        self._work = FileWork(file, dims)
        self._by_origin: dict[str, list[int]] = {}
        for number, (key, proto) in enumerate(zip(file.graph.keys, file.graph.nodes, strict=True)):
            output = next(filter(None, proto.output), f"{key.graph}#{key.position}")
            self._by_origin.setdefault(proto.name or output, []).append(number)
        sure = (d for d in decisions if d.evidence != EvidenceKind.STRUCTURE)
        self._done = {number for decision in sure for number in self._origins(decision)}
        kinds = map(plain_operator, file.op_types)
        names = [(node.name, kind) for node, kind in zip(file.graph.nodes, kinds, strict=True)]
        count = Counter(names)
        self._kept = {key: n for n, key in enumerate(names) if key[0] and count[key] == 1}

    def works(self, decision: Decision, name: str, kind: str) -> WorkByModule:
        """The work of an optimised node by module; of those without work only its own is listed."""
        covers = decision.covers or (() if decision.module is None else (decision.module,))
        kept = self._kept.get((name, plain_operator(kind)))
        if kept is not None and self._file.modules[kept] is not None:
            own = self._work.by_module(kept)
            fused = self._file.modules[kept] in covers and any(map(any, own.values()))
            return dict.fromkeys(covers if fused else (), Work()) | own
        numbers = self._origins(decision)
        absorbed = self._absorbed(numbers, kind)
        works = [self._work.by_module(number) for number in absorbed]
        covers = tuple(dict.fromkeys([*covers, *chain.from_iterable(works)]))
        if len(covers) == 1:
            return {covers[0]: Work()}
        total = add_works(*map(self._work.by_module, numbers), *works)
        return {module: total.get(module, Work()) for module in covers}

    def line_works(self, decision: Decision, name: str, kind: str) -> WorkByLine:
        """The work of an optimised node by source line."""
        kept = self._kept.get((name, plain_operator(kind)))
        numbers = self._origins(decision) if kept is None else [kept]
        works = add_works(*map(self._work.by_line, numbers))
        return works or dict.fromkeys(decision.source_lines, Work())

    def is_root_op(self, decision: Decision, name: str, kind: str) -> bool:
        """Whether an optimised node does nothing but ops of the root's own forward."""
        kept = self._kept.get((name, plain_operator(kind)))
        numbers = self._origins(decision) if kept is None else [kept]
        claims, kinds = self._file.claims, self._file.op_types
        sure = kept is not None or decision.evidence not in UNSURE or len(numbers) == 1
        return sure and bool(numbers) and all(is_root_op(claims[n], kinds[n]) for n in numbers)

    def is_kept(self, name: str, kind: str) -> bool:
        """Whether an optimised node is a node of the file."""
        return (name, plain_operator(kind)) in self._kept

    def is_inserted(self, node: ProfiledNode, decision: Decision, *, auxiliary: bool) -> bool:
        """Whether an optimised node has no module of its own: the runtime or a quantiser put it in.

        Args:
            node: The node, with the work that was found for it.
            decision: What matching found.
            auxiliary: Whether it only moves or casts values.
        """
        if not node.works.keys() - {ROOT}:
            return not decision.origins or (auxiliary and not self._is_recorded(node))
        kept = self.is_kept(node.name, node.op_type)
        return auxiliary and not kept and decision.evidence in UNSURE

    def _is_recorded(self, node: ProfiledNode) -> bool:
        """Whether an optimised node is a node of the file that is a recorded op by its name."""
        kept = self._kept.get((node.name, plain_operator(node.op_type)))
        claim = None if kept is None else self._file.claims[kept]
        return claim is not None and claim.kind in _BY_NAME

    def _absorbed(self, numbers: Sequence[int], kind: str) -> list[int]:
        """The nodes in front of some nodes that a node of an operator must do, too.

        A convolution of which matching found only the activation does also the convolution in
        front of it, if no other optimised node does.
        """
        operator = plain_operator(kind)
        if any(plain_operator(self._file.op_types[number]) == operator for number in numbers):
            return []
        absorbed: list[int] = []
        reached, pending = set(numbers), list(numbers)
        while pending and not absorbed:
            for other in self._file.graph.predecessors[pending.pop()]:
                if other not in reached and other not in self._done:
                    reached.add(other)
                    pending.append(other)
                    if plain_operator(self._file.op_types[other]) == operator:
                        absorbed.append(other)
        return absorbed

    def _origins(self, decision: Decision) -> list[int]:
        return [n for name in decision.origins for n in self._by_origin.get(name, ())]


def plain_operator(kind: str) -> str:
    """An operator without its domain, and without what fused and quantised ones add to its name."""
    return real_operator(kind).rpartition("::")[2].removeprefix("Fused")


def _modules_of_inserted(
    inserted: Iterable[int], nodes: Sequence[ProfiledNode], graph: ModelGraph, tree: ModuleTree
) -> dict[int, str]:
    """The modules that inserted nodes serve: casts, changes of layout, quantisers of values.

    A quantiser may have inserted them before. It is the one module that reads what the node
    computes; if there are several, or none, the one that computes what it reads. Without either,
    the node is left out.
    """
    unsettled = set(inserted)
    modules: dict[int, str] = {}
    for number in unsettled:
        for edges in (graph.successors, graph.predecessors):
            nearest = {
                choose_module(nodes[other].works, tree)
                for other in _settled_neighbours(number, edges, unsettled)
                if nodes[other].works
            } - {ROOT}
            if len(nearest) == 1:
                modules[number] = nearest.pop()
                break
    return modules


def _settled_neighbours(
    number: int, edges: Sequence[Iterable[int]], unsettled: set[int]
) -> Iterator[int]:
    """The nearest nodes in one direction that were not inserted."""
    visited, pending = {number}, list(edges[number])
    while pending:
        other = pending.pop()
        if other not in unsettled:
            yield other
        elif other not in visited:
            visited.add(other)
            pending += edges[other]
