"""Seeds of the alignment: pairs of nodes and recorded ops that evidence finds without neighbours.

Two more kinds of pairs are found here between the rounds of growth: nodes inside subgraphs, which
no edge connects with the outside, and nodes of operators that the record does not have.
"""

import itertools
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cached_property

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.graph_paths import split_subgraph_path, subgraph_path
from modelexport.hierarchy.record import Op
from modelexport.rewriter.graph.operators import is_data_movement
from modelexport.rewriter.matching.alignment.call_order import pair_calls
from modelexport.rewriter.matching.alignment.graph_pair import GraphPair
from modelexport.rewriter.matching.alignment.pairs import Pairs
from modelexport.rewriter.matching.alignment.passing import find_recasts
from modelexport.rewriter.matching.alignment.spans import Span
from modelexport.rewriter.matching.thresholds import MOST_SPAN_OPS


class Seeder:
    """Adds pairs, one kind of evidence after the other. An earlier pair is never replaced.

    Args:
        graphs: What is aligned.
        pairs: The pairs to add to.
    """

    def __init__(self, graphs: GraphPair, pairs: Pairs) -> None:
        self._graphs = graphs
        self._pairs = pairs
        self._file, self._record_view = graphs.file, graphs.record

    def add_named(self, named: Mapping[int, int], uncertain: Container[int] = ()) -> dict[int, int]:
        """Pair nodes with the ops of their names, unless their values differ.

        In a related model the exporter counts nodes differently. There, a counted name needs a
        weight that agrees.

        Args:
            named: Nodes to recorded ops of the same names.
            uncertain: Nodes whose name may be that of another node in a related model.

        Returns:
            The nodes whose values differ, with the ops of their names.
        """
        overruled = {}
        for node, op in named.items():
            if self._graphs.compatible(node, op) is False:
                overruled[node] = op
            elif not (node in uncertain and self._graphs.has_diverged(node)) or (
                self._is_told_by_weight(node, op)
            ):
                self._pairs.add_pair(node, op, EvidenceKind.NAMES)
        return overruled

    def add_by_values(self) -> dict[int, dict[int, float]]:
        """Pair nodes that compute what exactly one recorded op computes.

        Returns:
            The nodes that compute what recorded ops compute, with these ops and the distance.
        """
        values = self._graphs.values
        candidates: dict[int, dict[int, float]] = {}
        if values is None:
            return candidates
        graph, recorded = self._file.graph, self._record_view.graph
        recasts = find_recasts(graph, recorded, values.file.has_real_numbers)
        for node in range(len(self._file.graph)):
            if node in self._pairs or node in values.file.passed_values or node in recasts:
                continue
            ops = values.candidate_ops(node)
            if not ops:
                continue
            candidates[node] = ops
            if len(ops) == 1 and values.is_unambiguous(node):
                (op,) = ops
                # in a quantised file, order statistics alone may take one layer for the next
                quantised = values.quantised
                if quantised is None or quantised.candidate_ops(node).keys() <= {op}:
                    self._pairs.add_pair(node, op, EvidenceKind.VALUES)
        return candidates

    def add_by_weights(self, candidates: Mapping[int, Mapping[int, float]]) -> None:
        """Pair nodes with the one recorded op, or the chain of ops, that reads their weights.

        Args:
            candidates: Nodes to the recorded ops that compute their values. They can be no others.
        """
        for node in range(len(self._file.graph)):
            if node in self._pairs or self._graphs.is_auxiliary(node):
                continue
            ops = self._ops_reading_its_weights(node)
            if node in candidates:
                ops = [op for op in ops if op in candidates[node]]
            if not ops:
                continue
            if self._is_vetoed(node, ops[-1]):
                last = self._agreeing_op_behind(node, ops[-1])
                if last is not None and node not in candidates:
                    self._pairs.add_pair(node, last, EvidenceKind.WEIGHTS)
            elif len(ops) == 1:
                self._pairs.add_pair(node, ops[0], EvidenceKind.WEIGHTS)
            elif self._is_chain(ops):
                self._pairs.add_span(node, self._span_of_chain(ops), EvidenceKind.WEIGHTS)

    def add_by_call_order(
        self, candidates: Mapping[int, Mapping[int, float]], parameters: Container[int]
    ) -> None:
        """Pair nodes that read a parameter of a module with several calls, in their order.

        Args:
            candidates: Nodes to the recorded ops that compute their values. They can be no others.
            parameters: Initializers of the file that are parameters of one module.
        """
        paired = self._pairs.ops
        owned = {v: ops for v, ops in self._graphs.weights.items() if v in parameters}
        for calls in pair_calls(self._file, self._record_view, owned):
            if any(paired.get(n, op) != op or self._is_vetoed(n, op) for n, op in calls):
                continue
            for node, op in calls:
                if node not in self._pairs and op in candidates.get(node, (op,)):
                    self._pairs.add_pair(node, op, EvidenceKind.WEIGHTS)

    def add_in_subgraphs(self, recorded_ops: Sequence[Op]) -> bool:
        """Pair nodes in subgraphs whose operator occurs once there, and once in the recorded one.

        Args:
            recorded_ops: The ops of the record.

        Returns:
            Whether any pair was added.
        """
        nodes_of = self._file.graph.nodes_by_graph()
        ops_of = self._record_view.graph.nodes_by_graph()
        before = len(self._pairs.ops)
        for path in nodes_of:  # outer graphs come before inner ones
            parts = split_subgraph_path(path)
            if parts is None or parts.parent not in nodes_of:
                continue
            holder = self._pairs.ops.get(nodes_of[parts.parent][parts.position])
            if holder is None:
                continue
            op = recorded_ops[holder]
            recorded = ops_of.get(subgraph_path(op.graph, op.index, parts.attribute), [])
            for node, twin in self._unique_op_types(nodes_of[path], recorded):
                self._pairs.add_pair(node, twin, EvidenceKind.STRUCTURE)
        return len(self._pairs.ops) > before

    def add_by_position(self) -> bool:
        """Pair nodes of operators that the record does not have, where one free op fits the place.

        The op reads the results of the ops of all the node's predecessors, and is read by the ops
        of all its paired successors.

        Returns:
            Whether any pair was added.
        """
        recorded_types = set(self._record_view.graph.op_types)
        before = len(self._pairs.ops)
        for node, op_type in enumerate(self._file.graph.op_types):
            has_candidates = op_type in recorded_types or node in self._pairs
            if has_candidates or self._graphs.is_auxiliary(node) or node in self._graphs.new_nodes:
                continue
            ops = [op for op in self._ops_at_its_place(node) if self._pairs.is_free(op)]
            if len(ops) == 1 and not self._is_vetoed(node, ops[0]):
                self._pairs.add_pair(node, ops[0], EvidenceKind.STRUCTURE)
        return len(self._pairs.ops) > before

    def _ops_at_its_place(self, node: int) -> set[int]:
        """Recorded ops between the ops of a node's predecessors and those of its successors."""
        paired, record = self._pairs.ops, self._record_view
        before = [paired.get(other) for other in self._file.predecessors(node)]
        after = [paired[other] for other in self._file.successors(node) if other in paired]
        if not before or not after:
            return set()
        neighbourhoods = [set(record.predecessors(op)) for op in after]
        for op in before:
            if op is None:
                return set()
            neighbourhoods.append(set(record.successors(op)))
        return set.intersection(*neighbourhoods)

    def _unique_op_types(self, nodes: list[int], ops: list[int]) -> Iterator[tuple[int, int]]:
        """Open nodes and ops whose operator occurs once among the nodes and once among the ops."""
        file_types, record_types = self._file.graph.op_types, self._record_view.graph.op_types
        node_counts = Counter(file_types[node] for node in nodes)
        op_counts = Counter(record_types[op] for op in ops)
        op_of_type = {record_types[op]: op for op in ops}
        for node in nodes:
            op_type = file_types[node]
            if node_counts[op_type] == op_counts[op_type] == 1 and node not in self._pairs:
                yield node, op_of_type[op_type]

    def _is_told_by_weight(self, node: int, op: int) -> bool:
        """Whether a node reads a weight that only one recorded op reads: this one."""
        consumers = self._record_view.initializer_consumers
        weights = self._graphs.initializers_of(node)
        return any(consumers.get(weight) == [op] for weight in weights)

    def _is_chain(self, ops: list[int]) -> bool:
        """Whether each recorded op reads the result of the one before it."""
        predecessors = self._record_view.predecessors
        return all(former in predecessors(latter) for former, latter in itertools.pairwise(ops))

    def _span_of_chain(self, ops: list[int]) -> Span:
        """The span of a node that does the work of a chain of ops."""
        before = {other for op in ops for other in self._record_view.predecessors(op)} - set(ops)
        return Span(tuple(ops[::-1]), frozenset(before), closed=True)

    def _is_vetoed(self, node: int, op: int) -> bool:
        """Whether values reject a pair. In a quantised file they are not exact enough for that."""
        values = self._graphs.values
        exact = values is not None and values.rejects_mismatch
        return exact and self._graphs.compatible(node, op) is False

    def _agreeing_op_behind(self, node: int, op: int) -> int | None:
        """The first op after another that computes what a node computes, if there is one.

        A fused node reads the weights of its first op and returns the result of its last. Between
        them is no op that reads weights of its own.
        """
        weights = self._graphs.initializers_of(node)
        pending, visited = [op], {op}
        for current in pending:
            for other in self._record_view.successors(current):
                read = set(self._record_view.inputs(other)) & self._weights_in_file
                if other in visited or read - weights or len(visited) > MOST_SPAN_OPS:
                    continue
                if self._graphs.compatible(node, other):
                    return other
                visited.add(other)
                pending.append(other)
        return None

    @cached_property
    def _weights_in_file(self) -> frozenset[int]:
        """The recorded weights that the file has."""
        return frozenset().union(*self._graphs.weights.values())

    def _ops_reading_its_weights(self, node: int) -> list[int]:
        """The recorded ops that read the weights of a node, the ones of its operator if unique."""
        consumers = self._record_view.initializer_consumers
        ops: dict[int, None] = {}
        for value in self._file.inputs(node):
            weights = self._graphs.weights.get(value, frozenset())
            if len(weights) == 1:
                ops.update(dict.fromkeys(consumers.get(next(iter(weights)), [])))
        same_type = [op for op in ops if self._graphs.same_op_type(node, op)]
        return sorted(same_type if len(same_type) == 1 else ops)


def find_nearby_ops(graphs: GraphPair, skipped: set[int]) -> dict[int, dict[int, float]]:
    """In a quantised file, the recorded ops whose results are near to a node's.

    Quantisation moves every number, so that being near proves nothing. It counts in the score.
    A node that splits a value computes none of the parts: it is not the op which computes one.

    Args:
        graphs: What is aligned; its values are calibrated.
        skipped: Nodes that are paired, or that have candidates by their values.

    Returns:
        Nodes to the recorded ops, with the distance of their results.
    """
    quantised = None if graphs.values is None else graphs.values.quantised
    if quantised is None:
        return {}
    pass_through = graphs.record.pass_through
    return {
        node: {
            op: distance
            for op, distance in quantised.candidate_ops(node).items()
            if not pass_through[op] and _may_split(graphs, node, op)
        }
        for node in range(len(graphs.file.graph))
        if node not in skipped and not graphs.is_auxiliary(node)
    }


def _may_split(graphs: GraphPair, node: int, op: int) -> bool:
    """Whether a recorded op may split a value, if a node does. Torch's operators do not tell."""
    if graphs.file.graph.op_types[node] != "Split" or graphs.record.graph.has_torch_op_types:
        return True
    return is_data_movement("", graphs.record.graph.op_types[op])
