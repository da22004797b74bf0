"""Nodes that pass a value on where the record passes it on by other operators.

One exporter writes a Gather, and another one a GatherND between two Transposes. The numbers stay
the same, so values do not distinguish these nodes, and their operators differ. They are found by
their place: they stand between the same two paired neighbours.
"""

from collections.abc import Callable, Iterator, Mapping

from modelexport.rewriter.graph.graph_view import GraphView
from modelexport.rewriter.graph.indexed_graph import NONE, IndexedGraph
from modelexport.rewriter.graph.operators import is_pass_through, is_quantiser
from modelexport.rewriter.matching.alignment.graph_pair import GraphPair


def find_passing_ops(
    graphs: GraphPair, ops: Mapping[int, int], is_free: Callable[[int], bool]
) -> dict[int, tuple[int, ...]]:
    """The recorded ops that pass on what nodes pass on, between the same paired neighbours.

    Args:
        graphs: What is aligned.
        ops: The recorded op of each paired node.
        is_free: Tells whether no node is known to do a recorded op.

    Returns:
        Nodes that are not paired, each with the recorded ops. There are none where one of these
        has a node.
    """
    passing: dict[int, tuple[int, ...]] = {}
    for node in range(len(graphs.file.graph)):
        if node in ops or not graphs.file.pass_through[node]:
            continue
        source = ops.get(_source(graphs.file, node))
        readers = [ops.get(other) for other in _readers(graphs.file, node)]
        between = {op for reader in readers for op in _between(graphs.record, source, reader)}
        if between and None not in readers and all(map(is_free, between)):
            passing[node] = tuple(sorted(between))
    return passing


def find_recasts(
    file: IndexedGraph, record: IndexedGraph, is_real: Callable[[int], bool]
) -> set[int]:
    """Nodes of a quantiser that recast what another node computes in real numbers, or passes on.

    A DequantizeLinear after a Transpose has the numbers of the op that computed them. But that op
    stands before the Transpose, perhaps in another module. After a normalisation, its rounded
    numbers may be nearer to those of the next one. Where only codes are computed, as by an operator
    on integers, it is the first node with the real numbers, and may be the op.

    Args:
        file: The graph of the file.
        record: The recorded graph. If it has such nodes itself, there are none.
        is_real: Tells whether a value of the file has real numbers.
    """
    if any(map(is_quantiser, record.op_types)):
        return set()
    recasts = set()
    for node in range(len(file)):
        if is_quantiser(file.op_types[node]):
            before = _producer(file, node)
            if before in recasts or (
                before != NONE
                and (_passes_on(file.op_types[before]) or is_real(file.input_values(node)[0]))
            ):
                recasts.add(node)
    return recasts


def _producer(graph: IndexedGraph, node: int) -> int:
    """The node that computes the first input of a node; `NONE` if no node does."""
    value = next(iter(graph.input_values(node)), None)
    return NONE if value is None else graph.producer[value]


def _passes_on(op_type: str) -> bool:
    return is_pass_through(op_type) and not is_quantiser(op_type)


def _source(view: GraphView, node: int) -> int:
    """The node that computes what a node passes on; `NONE` for one that passes nothing on."""
    value = next(iter(view.graph.output_values(node)), None)
    return NONE if value is None else view.graph.producer[view.origin[value]]


def _readers(view: GraphView, node: int) -> list[int]:
    """The first nodes after a node that do not only pass its value on."""
    readers: list[int] = []
    pending, visited = [node], {node}
    for current in pending:
        for value in view.graph.output_values(current):
            for other in view.graph.consumers[value]:
                if other not in visited:
                    visited.add(other)
                    (pending if view.pass_through[other] else readers).append(other)
    return readers


def _between(record: GraphView, source: int | None, reader: int | None) -> Iterator[int]:
    """The ops that pass on the result of one op, up to the op that reads it."""
    if source is None or reader is None:
        return
    graph = record.graph
    for value in graph.input_values(reader):
        if graph.producer[record.origin[value]] != source:
            continue
        current = value
        while record.origin[current] != current:
            op = graph.producer[current]
            yield op
            same = (v for v in graph.input_values(op) if record.origin[v] == record.origin[value])
            current = next(same)
