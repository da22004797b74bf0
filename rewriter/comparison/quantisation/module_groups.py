"""Which module each node of a file works for, as the rows of a comparison show it."""

from collections import Counter
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

from modelexport.rewriter.comparison.boundaries import RECASTING
from modelexport.rewriter.comparison.compared_file import ComparedFile
from modelexport.rewriter.comparison.module_alignment import ModuleAlignment
from modelexport.rewriter.comparison.quantisation.quantised_values import QuantisedValues
from modelexport.rewriter.comparison.shown_modules import ShownModules
from modelexport.rewriter.extraction.graph_parts import MainGraph
from modelexport.rewriter.matching import Claim


class Group(NamedTuple):
    """The nodes of one call of a module.

    Attributes:
        key: Key of the module.
        call: Which call of it; None where the module stands for others inside it.
    """

    key: str
    call: int | None = None


NO_MODULE = Group("<no module>")
"""The group of nodes without a module."""


class ModuleGroups:
    """The groups of the nodes of a main graph.

    Operators that only recast numbers belong to the nodes that read them: what becomes of a value
    on its way into a module is part of the error of this module. Constants belong to all.

    Args:
        file: The file.
        group: The group of a node by its claim.

    Attributes:
        graph: The main graph of the file.
        of: The group of each node, by its position; None for nodes that belong to their readers.
    """

    def __init__(self, file: ComparedFile, group: Callable[[Claim], Group]) -> None:
        self._file, self.graph = file, MainGraph(file)
        self.of: list[Group | None] = []
        for position, node in enumerate(self.graph.nodes):
            claim = file.claims[position]  # the main graph's nodes have the first numbers
            is_constant = claim is None and self.graph.is_constant[position]
            if is_constant or node.op_type in RECASTING or node.op_type == "Constant":
                self.of.append(None)
            else:
                self.of.append(NO_MODULE if claim is None else group(claim))

    def producer_group(self, name: str) -> Group | None:
        """The group that computes a value; None for inputs, weights and recast values."""
        position = self.graph.producer.get(name)
        return None if position is None else self.of[position]

    def read_values(self) -> dict[Group, list[str]]:
        """The values that each group reads from other groups, before they are recast."""
        names: dict[Group, dict[str, None]] = {}
        for position, group in enumerate(self.of):
            if group is None:
                continue
            for name in map(self.before_recasting, self.graph.reads[position]):
                producer = self.producer_group(name)
                if producer is not None and producer != group:
                    names.setdefault(group, {})[name] = None
        return {group: list(read) for group, read in names.items()}

    def before_recasting(self, name: str) -> str:
        """The original of a value: its form before it was recast."""
        position = self.graph.producer.get(name)
        while position is not None and self.of[position] is None:
            node = self.graph.nodes[position]
            if node.op_type not in RECASTING or not node.input:
                break
            name = node.input[0]
            position = self.graph.producer.get(name)
        return name

    def is_shared(self, name: str) -> bool:
        """Whether all modules share a value: an input, a weight, or what is made of weights."""
        producer = self.graph.producer.get(name)
        source = self.graph.producer.get(self.before_recasting(name))
        if producer is None or source is None:
            return producer is None or self.graph.is_constant[producer]
        return self.of[source] is None

    @cached_property
    def quantised(self) -> QuantisedValues:
        """The values that one quantiser reads and nothing else."""
        keys = [None if group is None else group.key for group in self.of]
        return QuantisedValues(self.graph, keys, self._file.graph.derived)

    @cached_property
    def settled(self) -> dict[str, str]:
        """Values whose producer is quantised, each with what its quantiser makes of it.

        The quantiser is part of what computes such a value: it may clip, in place of a Relu.
        Where only readers need the value quantised, the quantiser is part of these.
        """
        return dict(self.quantised.ends())

    def counts(self) -> Counter[str]:
        """Number of nodes of each module, by its key."""
        return Counter(group.key for group in self.of if group is not None)


def settled_values(file: ComparedFile) -> dict[str, str]:
    """The values of a file that are what a quantiser makes of them: see `ModuleGroups.settled`."""
    if all(node.op_type != "QuantizeLinear" for node in file.model.graph.node):
        return {}
    return ModuleGroups(file, lambda _: NO_MODULE).settled


def group_by_module(
    file: ComparedFile, alignment: ModuleAlignment, shown: ShownModules, claim: Claim
) -> Group:
    """The group of a node: its module as it is shown.

    Args:
        file: The file.
        alignment: The keys of its modules.
        shown: The modules that are shown.
        claim: The module of the node.
    """
    key = alignment.key(file, alignment.resolve(file, claim.module))
    shown_as = shown.shown_as(key)
    return Group(key, claim.call or 0) if shown_as in {key, None} else Group(str(shown_as))
