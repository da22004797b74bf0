"""The names of recorded ops, and the ops that a node can be by its names."""

import string
from collections import Counter
from collections.abc import Iterator

from modelexport.hierarchy.graph_paths import op_type
from modelexport.hierarchy.record import Record
from modelexport.rewriter.graph.model_graph import ModelGraph


class RecordedNames:
    """The recorded ops by their names, and by those of their outputs.

    Args:
        record: The record.
    """

    def __init__(self, record: Record) -> None:
        self.ops = record.ops
        self._by_output: dict[str, list[int]] = {}
        self._by_name: dict[str, list[int]] = {}
        for number, op in enumerate(record.ops):
            for output in filter(None, op.outputs):
                self._by_output.setdefault(output, []).append(number)
            if op.name:
                self._by_name.setdefault(op.name, []).append(number)

        self._stems = Counter(_stem(name) for name in self._by_name)

    def is_counted(self, op: int) -> bool:
        """Whether the exporter counted up the name of an op: others differ only by a number."""
        return self._stems[_stem(self.ops[op].name)] > 1

    def has_any_of(self, graph: ModelGraph) -> bool:
        """Whether a single name of a file was recorded."""
        nodes = graph.nodes
        return not (
            self._by_output.keys().isdisjoint(output for node in nodes for output in node.output)
            and self._by_name.keys().isdisjoint(node.name for node in nodes)
        )

    def by_output(self, graph: ModelGraph, node: int) -> Iterator[int]:
        """The ops that a node can be, judged by the names of its outputs."""
        matches = (self._by_output.get(output) for output in graph.nodes[node].output)
        return (op for ops in matches if ops for op in self._fitting(graph, node, ops))

    def by_name(self, graph: ModelGraph, node: int) -> Iterator[int]:
        """The ops that a node can be, judged by its own name."""
        return self._fitting(graph, node, self._by_name.get(graph.nodes[node].name))

    def _fitting(self, graph: ModelGraph, node: int, ops: list[int] | None) -> Iterator[int]:
        """Ops of the node's operator; those in the subgraph of the same path first."""
        if not ops:
            return iter(())
        path, kind = graph.keys[node].graph, op_type(graph.nodes[node])
        fitting = [op for op in ops if self.ops[op].op_type == kind]
        paths = {self.ops[op].graph for op in fitting}
        if len(paths) > 1 and path not in paths:
            return iter(())  # subgraphs may repeat names: this one is unknown
        return iter(sorted(fitting, key=lambda op: self.ops[op].graph != path))

    def why_unpaired(self, graph: ModelGraph, node: int) -> str:
        """Why a node pairs with none of the ops."""
        proto = graph.nodes[node]
        ops = [self._by_output.get(output, []) for output in proto.output]
        ops.append(self._by_name.get(proto.name, []))
        kinds = sorted({self.ops[op].op_type for same_name in ops for op in same_name})
        if not kinds:
            return "the record has no op of its names"
        if op_type(proto) in kinds:
            return "another node has taken the recorded op of its name"
        return f"the record's op of its name is a {' or '.join(kinds)}, not a {op_type(proto)}"


def _stem(name: str) -> str:
    """A name without the number at its end."""
    return name.rstrip(string.digits).rstrip("_")
