"""What each paired node does of the recorded graph, once all pairs are known.

While an alignment grows, a span shows whether a pair fits. Here the pairs are given, and the
question is which recorded ops each node does: none missing, none too many. The search starts at the
recorded values that the node's readers read. It goes back in the recorded graph, and ends at

- what the node reads;
- an op that another node does;
- an op that depends on no input: such ops are computed beforehand;
- an op whose result other nodes need as well, unless the node returns it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property

from modelexport.rewriter.graph.indexed_graph import NONE
from modelexport.rewriter.graph.operators import is_clipping
from modelexport.rewriter.matching.alignment.graph_pair import GraphPair
from modelexport.rewriter.matching.alignment.spans import Span
from modelexport.rewriter.matching.thresholds import MOST_REGION_OPS, MOST_SPAN_OPS


class NodeWork:
    """Finds the recorded ops of each node.

    Args:
        graphs: What is aligned.
        ops: The recorded op of each paired node.
        grown: Gives the span of a pair as it was seen while the alignment grew.
        initial_spans: Spans that hold from the start, by node and op.
        anchored: Nodes that are no recorded op, with the ops that read their weights.
    """

    def __init__(
        self,
        graphs: GraphPair,
        ops: Mapping[int, int],
        grown: Callable[[int, int], Span],
        initial_spans: Mapping[tuple[int, int], Span],
        anchored: Mapping[int, Iterable[int]],
    ) -> None:
        self._graphs = graphs
        self._file, self._record = graphs.file, graphs.record
        self._ops = ops
        self._grown = grown
        self._initial_spans = initial_spans
        self._anchored = anchored
        self._claimants: dict[int, set[int]] = defaultdict(set)
        self._returned: dict[int, set[int]] = {}
        for node, parts in anchored.items():
            self._claim(node, parts)
        self._last: dict[int, int] = {}
        for node, op in ops.items():
            if not graphs.is_auxiliary(node):
                self._last[node] = last = self._find_last_op(node, op)
                self._claim(node, {op, last})
                self._returned[node] = {last}

    def find(self) -> dict[int, Span]:
        """The span of each paired node that computes."""
        nodes = [node for node in sorted(self._ops) if not self._graphs.is_auxiliary(node)]
        spans = {}
        for node in nodes:
            spans[node] = self._span(node)
            self._claim(node, spans[node].ops)
        return spans

    def _claim(self, node: int, ops: Iterable[int]) -> None:
        for op in ops:
            self._claimants[op].add(node)

    def _others_do(self, node: int, op: int) -> bool:
        """Whether another node does a recorded op."""
        return bool(self._claimants.get(op, set()) - {node})

    def _has_exact_values(self) -> bool:
        return self._graphs.values is not None and self._graphs.values.rejects_mismatch

    def _returns(self, node: int, op: int) -> bool | None:
        """Whether a node returns the result of an op; None when values do not tell."""
        values = self._graphs.values
        if values is None:
            return None
        agreements = {
            values.values_agree(value, result)
            for value in self._file.graph.output_values(node)
            for result in self._record.graph.output_values(op)
        } - {None}
        return True in agreements if agreements else None

    def _span(self, node: int) -> Span:
        op = self._ops[node]
        grown = self._grown(node, op)
        if self._reads_unknown(node):
            return grown
        span = self._initial_spans.get((node, op))
        ends = (op,) if span is None else span.ops
        ops = self._walk_back(node, tuple(dict.fromkeys((self._last[node], *ends))))
        if ops is None:
            return grown
        # steps of one op may stand one after the other: in a quantised file, or an expanded one
        does_all = self._has_exact_values() and not self._others_do(node, op)
        return grown._replace(ops=ops, closed=does_all or grown.closed)

    def _find_last_op(self, node: int, op: int) -> int:
        """The op whose result the readers of a node read.

        It is the op of the pair, or a clipping op after it that no other node does: quantisers
        remove such an op, because the scale of the node's result clips.
        """
        if self._has_exact_values() and self._returns(node, op) is True:
            return op
        successors = self._record.successors(op)
        if len(successors) != 1 or successors[0] in self._paired_ops:
            return op
        if any(self._ops.get(other) == op for other in self._file.successors(node)):
            return op  # the node does a step of the op, and not the last one
        is_merged = is_clipping(self._record.graph.op_types[successors[0]])
        return successors[0] if is_merged else op

    @cached_property
    def _paired_ops(self) -> frozenset[int]:
        return frozenset(self._ops.values())

    def _reads_unknown(self, node: int) -> bool:
        """Whether a node reads real numbers of which neither ops nor values are known."""
        unmatched = self._file.graph.external_inputs - self._graphs.inputs.keys()
        if any(self._is_unknown(value) for value in self._file.inputs(node) if value in unmatched):
            return True
        return any(
            not (other in self._returned or other in self._anchored)
            and self._computes_unknown(other)
            for other in self._file.predecessors(node)
        )

    def _computes_unknown(self, node: int) -> bool:
        graph, values = self._file.graph, self._graphs.values
        if graph.derived[node]:
            return False
        if values is None or not values.rejects_mismatch:
            return True
        return any(self._is_unknown(value) for value in graph.output_values(node))

    def _is_unknown(self, value: int) -> bool:
        """Whether a value holds real numbers that were not recorded, as far as values show it."""
        values = self._graphs.values
        if values is None:
            return True
        fingerprint = values.file.fingerprints.get(value)
        is_real = fingerprint is not None and fingerprint.kind == "f" and fingerprint.size > 0
        return is_real and not values.candidate_classes(value)

    def _walk_back(self, node: int, ends: Sequence[int]) -> tuple[int, ...] | None:
        """The ops between what a node reads and what it returns; None if the search goes on."""
        graph = self._record.graph
        ops, visited = [*ends], {*ends}
        shared: list[int] = []
        is_read = self._reads(node)
        for current in ops:
            for value in self._record.inputs(current):
                producer = graph.producer[value]
                if value in graph.initializers or producer in visited:
                    continue
                if producer == NONE:
                    if not is_read(value):
                        return None
                elif is_read(value) or self._others_do(node, producer):
                    visited.add(producer)
                    if self._shares_weight(node, producer):
                        shared.append(producer)
                elif not graph.derived[producer] and self._is_own(node, producer):
                    visited.add(producer)
                    ops.append(producer)
            if len(ops) > MOST_SPAN_OPS:
                return None
        return (*ops, *shared)

    def _reads(self, node: int) -> Callable[[int], bool]:
        """Tells whether a node reads a recorded value."""
        values = self._graphs.values
        read = self._classes_read(node)
        inputs = {self._graphs.inputs.get(value) for value in self._file.inputs(node)}
        classes = {} if values is None else values.record.classes.class_of
        return lambda value: value in inputs or classes.get(value) in read

    def _classes_read(self, node: int) -> set[int]:
        """The recorded classes to which the inputs of a node may belong.

        The result of a paired node counts as the result of its op, if that fits. (In 16 bits,
        adding a small number hardly changes a value, so values alone are not enough.)
        """
        values, producers = self._graphs.values, self._file.graph.producer
        classes: set[int] = set()
        if values is None:
            return classes
        for value in self._file.graph.input_values(node):
            for source in {value, self._file.origin[value]}:
                candidates = set(values.candidate_classes(source))
                op = self._ops.get(producers[source])
                results = () if op is None else self._record.graph.output_values(op)
                recorded = {values.record.classes.class_of.get(result, NONE) for result in results}
                classes |= candidates & recorded or candidates
        return classes

    def _shares_weight(self, node: int, op: int) -> bool:
        """Whether a node reads a weight whose only reader is an op of another node.

        Such an op is done by two nodes: the second one adds the bias, for example.
        """
        consumers = self._record.initializer_consumers
        return any(
            consumers.get(weight) == [op]
            for weight in self._graphs.initializers_of(node)
            if weight in self._record.inputs(op)
        )

    def _is_own(self, node: int, op: int) -> bool:
        """Whether a node does an op alone, or returns its result to other nodes."""
        if not self._is_needed_elsewhere(node, op):
            return True
        returns = self._returns(node, op)
        if returns is None or not self._has_exact_values():
            returns = len(self._read_outputs(node)) > len(self._returned[node])
        if returns:
            self._returned[node].add(op)
        return returns

    def _read_outputs(self, node: int) -> list[int]:
        """The outputs of a node that other nodes read."""
        graph = self._file.graph
        return [value for value in graph.output_values(node) if graph.consumers[value]]

    def _is_needed_elsewhere(self, node: int, op: int) -> bool:
        """Whether other nodes need an op's result, other than through what the node returns."""
        visited = {op}
        pending = [op]
        for current in pending:
            for other in self._record.successors(current):
                if other in visited or other in self._returned[node]:
                    continue
                if self._others_do(node, other):
                    return True
                visited.add(other)
                pending.append(other)
            if len(visited) > MOST_REGION_OPS:
                return True
        return False
