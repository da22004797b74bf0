"""What is sure from the start: pairs of a node and a recorded op, planted by each evidence.

An alignment grows from these pairs (`rewriter.matching.alignment.aligner`).
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.graph_paths import split_subgraph_path, subgraph_path
from modelexport.hierarchy.record import Record
from modelexport.rewriter.graph.indexed_graph import NONE
from modelexport.rewriter.matching.alignment.aligner import Alignment
from modelexport.rewriter.matching.alignment.call_order import calls_in_order
from modelexport.rewriter.matching.evidence.values import ValueMatch
from modelexport.rewriter.matching.evidence.weights import WeightMatch


class Planting:
    """Plants pairs in an alignment, by one kind of evidence after the other.

    Args:
        record: What is matched with.
        alignment: Where pairs are planted.
        weights: What is known of the weights.

    Attributes:
        overruled: Nodes to recorded ops of their names that compute something else.
    """

    def __init__(self, record: Record, alignment: Alignment, weights: WeightMatch) -> None:
        self.overruled: dict[int, int] = {}
        self._record = record
        self._alignment = alignment
        self._weights = weights
        self._ours, self._theirs = alignment.here, alignment.there
        self._here, self._there = alignment.here.graph, alignment.there.graph

    @property
    def _values(self) -> ValueMatch | None:
        return self._alignment.values

    def names(self, named: Mapping[int, int]) -> None:
        """Nodes that are called as recorded, unless they compute something else."""
        for node, op in named.items():
            if self._values is None or self._values.compatible(node, op) is not False:
                self._alignment.plant(node, op, EvidenceKind.NAMES)
            else:
                self.overruled[node] = op

    def values(self) -> None:
        """Nodes that compute what exactly one recorded op computes."""
        alignment, values = self._alignment, self._values
        if values is None:
            return
        for node in range(len(self._here)):
            if node in alignment.image or node in values.file.passed_values:
                continue
            options = values.candidate_ops(node)
            if not options:
                continue
            alignment.options[node] = options
            if len(options) == 1 and values.is_unambiguous(node):
                op = next(iter(options))
                # where all is rounded, order statistics alone may take one layer for the next
                if values.quantised is None or values.quantised.candidate_ops(node).keys() <= {op}:
                    alignment.plant(node, op, EvidenceKind.VALUES)

    def weights(self) -> None:
        """Nodes that read a weight which one recorded op reads."""
        readers = self._theirs.initializer_consumers
        for node in range(len(self._here)):
            if node in self._alignment.image or self.takes_no_part(node):
                continue
            ops = self._readers_of_weights(node, readers)
            options = self._alignment.options.get(node)
            if options is not None:
                ops = [op for op in ops if op in options]
            if not ops or not self._may_be(node, ops[-1]):
                continue
            if len(ops) == 1:
                self._alignment.plant(node, ops[0], EvidenceKind.WEIGHTS)
            elif self._in_a_row(ops):
                self._alignment.plant_several(node, ops, EvidenceKind.WEIGHTS)

    def calls(self) -> None:
        """Nodes that read a parameter of a module which is called several times, in their order."""
        readers = self._theirs.initializer_consumers
        held = {
            v: labels for v, labels in self._weights.candidates.items() if v in self._weights.owners
        }
        image, options = self._alignment.image, self._alignment.options
        for pairs in calls_in_order(self._ours, self._theirs, held, readers):
            if all(image.get(node, op) == op and self._may_be(node, op) for node, op in pairs):
                for node, op in pairs:
                    if node not in image and op in options.get(node, (op,)):
                        self._alignment.plant(node, op, EvidenceKind.WEIGHTS)

    def calibrate_quantised(self) -> None:
        """Let near values of a quantised file speak, if those of settled pairs are near."""
        self._alignment.calibrate_values()
        quantised = None if self._values is None else self._values.quantised
        if quantised is None:
            return
        image = self._alignment.image
        for node in range(len(self._here)):
            settled = node in image or node in self._alignment.options
            if not settled and not self.takes_no_part(node):
                near = quantised.candidate_ops(node).items()
                found = {op: distance for op, distance in near if not self._theirs.pass_through[op]}
                self._alignment.hints[node] = found

    def takes_no_part(self, node: int) -> bool:
        """Whether a node only passes values on, or depends on no input."""
        return self._ours.pass_through[node] or self._here.derived[node]

    def in_subgraphs(self) -> bool:
        """Nodes of an operator that is there once in a subgraph and once in the recorded one.

        What runs in the subgraphs of an If or a Loop is not to be seen from outside.
        """
        ours, theirs = self._here.nodes_by_graph(), self._there.nodes_by_graph()
        planted = False
        for path in sorted(ours, key=len):
            parts = split_subgraph_path(path)
            if parts is None or parts.parent not in ours:
                continue
            op = self._alignment.image.get(ours[parts.parent][parts.position])
            if op is None:
                continue
            recorded = self._record.ops[op]
            inside = theirs.get(subgraph_path(recorded.graph, recorded.index, parts.attribute), [])
            for node, twin in self._unique_kinds(ours[path], inside):
                self._alignment.plant(node, twin, EvidenceKind.STRUCTURE)
                planted = True
        return planted

    def between(self) -> bool:
        """Nodes of operators that the record does not have, where one op alone fits the place.

        It reads what all of the node's makers make, and is read by all of its settled readers.
        """
        known = set(self._there.op_types)
        planted = False
        for node, kind in enumerate(self._here.op_types):
            if kind in known or node in self._alignment.image or self.takes_no_part(node):
                continue
            ops = [op for op in self._fitting(node) if self._alignment.is_free(op)]
            if len(ops) == 1 and self._may_be(node, ops[0]):
                self._alignment.plant(node, ops[0], EvidenceKind.STRUCTURE)
                planted = True
        return planted

    def _fitting(self, node: int) -> set[int]:
        image = self._alignment.image
        makers = [image.get(maker, NONE) for maker in self._ours.predecessors(node)]
        readers = [image[reader] for reader in self._ours.successors(node) if reader in image]
        if not makers or not readers or NONE in makers:
            return set()
        after = (set(self._theirs.successors(op)) for op in makers)
        before = (set(self._theirs.predecessors(op)) for op in readers)
        return set.intersection(*after, *before)

    def _unique_kinds(self, nodes: list[int], ops: list[int]) -> Iterator[tuple[int, int]]:
        there = Counter(self._there.op_types[op] for op in ops)
        here = Counter(self._here.op_types[node] for node in nodes)
        alone = {self._there.op_types[op]: op for op in ops}
        for node in nodes:
            kind = self._here.op_types[node]
            if here[kind] == there[kind] == 1 and node not in self._alignment.image:
                yield node, alone[kind]

    def _in_a_row(self, ops: list[int]) -> bool:
        """Whether each recorded op reads what the one before it makes."""
        pairs = itertools.pairwise(ops)
        return all(former in self._theirs.predecessors(latter) for former, latter in pairs)

    def _may_be(self, node: int, op: int) -> bool:
        values = self._values
        exact = values is not None and values.rejects_mismatch
        return values is None or not exact or values.compatible(node, op) is not False

    def _readers_of_weights(self, node: int, readers: Mapping[int, list[int]]) -> list[int]:
        found: dict[int, None] = {}
        for value in self._ours.inputs(node):
            held = self._weights.candidates.get(value, frozenset())
            if len(held) == 1:
                found.update(dict.fromkeys(readers.get(next(iter(held)), [])))
        kinds, kind = self._there.op_types, self._here.op_types[node]
        alike = [op for op in found if kinds[op] == kind]
        return sorted(alike if len(alike) == 1 else found)
