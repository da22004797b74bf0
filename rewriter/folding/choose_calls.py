"""Which calls become functions."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from modelexport.hierarchy.annotate_options import FoldRules
from modelexport.hierarchy.choices import FoldMode
from modelexport.rewriter.folding.break_cycles import without_cycles
from modelexport.rewriter.folding.fold_graph import Call, FoldGraph, FoldNode
from modelexport.rewriter.folding.shared_structure import (
    Structure,
    StructureKey,
    difference,
    find_structure,
)

ClassName = tuple[str, str]
"""Python module and name of a class."""


@dataclass(frozen=True)
class ChosenCalls:
    """Which calls are to be folded.

    Attributes:
        calls: The calls.
        single: Calls that have the class of a chosen call but a structure that no other call
            has; each with what differs.
        refused: Calls of these classes that cannot be folded, each with the reason.
    """

    calls: set[Call]
    single: dict[Call, str] = field(default_factory=dict)
    refused: dict[Call, str] = field(default_factory=dict)


def choose_calls(
    graph: FoldGraph, rules: FoldRules, class_of: Mapping[str, ClassName]
) -> ChosenCalls:
    """Choose the calls to fold.

    Args:
        graph: The graph; its nodes know their calls.
        rules: What to choose.
        class_of: The class of each module path.
    """
    levels = [
        {call: n for call, n in graph.calls_at(depth).items() if len(n) >= rules.min_nodes}
        for depth in range(graph.depth)
    ]
    calls = {call for level in levels for call in level}
    if rules.patterns:
        return ChosenCalls({c for c in calls if rules.matches(c.path, class_of[c.path][1])})
    if rules.functions == (FoldMode.ALL,):
        return ChosenCalls(calls)
    return _RepeatedCalls(graph, levels, class_of).choose(
        only_outermost=rules.functions == (FoldMode.REPEATED,)
    )


class _RepeatedCalls:
    """Chooses the calls that occur more than once with the same structure.

    Args:
        graph: The graph.
        levels: The nodes of the calls at each depth, the outermost first.
        class_of: The class of each module path.
    """

    def __init__(
        self,
        graph: FoldGraph,
        levels: list[dict[Call, list[FoldNode]]],
        class_of: Mapping[str, ClassName],
    ) -> None:
        self._class_of = class_of
        self._first_node = {call: nodes[0] for level in levels for call, nodes in level.items()}
        self._structures: dict[Call, Structure] = {}
        self._refused: dict[Call, str] = {}
        for level in levels:
            groups, refused = without_cycles(graph, level)
            self._refused |= refused
            for call, nodes in groups.items():
                self._structures[call] = find_structure(graph, nodes)
        self._counts = Counter(map(self._key, self._structures))

    def choose(self, *, only_outermost: bool) -> ChosenCalls:
        """Choose them.

        Args:
            only_outermost: Whether calls inside a chosen call are left out.
        """
        inside_chosen: set[int] = set()
        first_of_class: dict[ClassName, Structure] = {}
        calls: set[Call] = set()
        single: list[Call] = []
        for call, structure in self._structures.items():
            if id(structure.nodes[0]) in inside_chosen:
                continue
            if self._counts[self._key(call)] == 1:
                single.append(call)
                continue
            calls.add(call)
            first_of_class.setdefault(self._class_of[call.path], structure)
            if only_outermost:
                inside_chosen.update(map(id, structure.nodes))
        return ChosenCalls(
            calls,
            {
                call: self._difference(call, first_of_class[self._class_of[call.path]])
                for call in single
                if self._class_of[call.path] in first_of_class
            },
            {
                call: reason
                for call, reason in self._refused.items()
                if self._class_of[call.path] in first_of_class
                and id(self._first_node[call]) not in inside_chosen
            },
        )

    def _key(self, call: Call) -> tuple[ClassName, StructureKey]:
        return self._class_of[call.path], self._structures[call].key

    def _difference(self, call: Call, first: Structure) -> str:
        structure = self._structures[call]
        modules = [node.path_within(call.path) for node in structure.nodes]
        return difference(structure, first, modules)
