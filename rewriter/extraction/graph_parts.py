"""Parts of a graph: their nodes, inputs and outputs.

A part must be *convex*: no path leaves it and comes back. Nodes that depend on weights
alone belong to every part that reads them, so they are copied into the part.
"""

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import onnx

from modelexport.hierarchy.graph_paths import MAIN
from modelexport.rewriter.analysis.costs.sizes import tensor_bytes
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.graph.indexed_graph import NONE
from modelexport.rewriter.graph.subgraph_names import captured_names, initializer_names
from modelexport.rewriter.graph.texts import require_text

_RANDOM = {"RandomNormal", "RandomUniform"}
"""Operators without inputs that compute other values at every run."""


@dataclass(frozen=True)
class GraphPart:
    """A part of a main graph.

    Attributes:
        nodes: Positions of its nodes, in order.
        inputs: Values that it reads and does not compute, in the order of their first use.
        outputs: Values that it computes and that are read outside of it, or returned.
        initializers: Initializers that it reads.
    """

    nodes: list[int]
    inputs: list[str]
    outputs: list[str]
    initializers: set[str]


class MainGraph:
    """How the nodes of a main graph depend on each other; subgraphs are part of their nodes.

    Args:
        file: The file.

    Attributes:
        nodes: The nodes.
        initializers: Names of the initializers.
        producer: Position of the node that computes each value. In a damaged file in which nodes
            read each other in a circle, a value that closes one has none.
        consumers: Positions of the nodes that read each value.
        is_constant: Whether each node depends on weights and constants alone.
        work: Positions of the nodes that depend on inputs, or whose results the graph returns; each
            after those that it reads from, which some tools do not write in this order.
        reads: The values that each node reads, with what its subgraphs read.
        returned: The outputs of the graph.
    """

    def __init__(self, file: PlacedFile) -> None:
        self._file, graph = file, file.model.graph
        self.nodes = graph.node
        self.initializers = initializer_names(graph)
        self.returned = {value.name for value in graph.output}
        self.reads = [list(filter(None, [*n.input, *captured_names(n)])) for n in graph.node]
        self.producer = {
            name: position for position, node in enumerate(graph.node) for name in node.output
        }
        self.producer.pop("", NONE)
        self.consumers: dict[str, list[int]] = {}
        for position, names in enumerate(self.reads):
            for name in dict.fromkeys(names):
                self.consumers.setdefault(name, []).append(position)
        order = self._in_order()
        self._open_circles(order)
        self.is_constant = self._find_constants(order)
        self.work = [
            position
            for position in order
            if not self.is_constant[position]
            or self.returned.intersection(graph.node[position].output)
        ]

    def _in_order(self) -> list[int]:
        """The positions of the nodes, each after those that it reads from."""
        ordered: dict[int, None] = {}
        opened: set[int] = set()  # a damaged file may have circles
        for start in range(len(self.nodes)):
            pending = [start]
            while pending:
                position = pending[-1]
                opened.add(position)
                missing = [p for p in self.before(position) if p not in opened]
                if missing and position not in ordered:
                    pending += missing
                else:
                    ordered[pending.pop()] = None
        return list(ordered)

    def _open_circles(self, order: list[int]) -> None:
        """Forget who computes a value that is read before it is computed, whatever the order."""
        done: set[int] = set()
        for position in order:
            for name in self.reads[position]:
                if self.producer.get(name, NONE) not in done and name in self.producer:
                    del self.producer[name]
            done.add(position)

    def _find_constants(self, order: list[int]) -> list[bool]:
        """Whether each node depends on weights and constants alone."""
        constant = [False] * len(self.nodes)
        for position in order:
            constant[position] = self.nodes[position].op_type not in _RANDOM and all(
                name in self.initializers or constant[self.producer.get(name, position)]
                for name in self.reads[position]
            )
        return constant

    def holders(self, path: str) -> set[int]:
        """Positions of the nodes that hold a subgraph or call a function, directly or around it."""
        graph, holders = self._file.graph, set[int]()
        pending = [path]
        seen = {MAIN}
        while pending:
            current = pending.pop()
            for node in graph.nodes_around(current) if current not in seen else ():
                key = graph.keys[node]
                if key.graph == MAIN:
                    holders.add(key.position)
                pending.append(key.graph)
            seen.add(current)
        return holders

    def convex_part(
        self, positions: Iterable[int], copies: Collection[int] = frozenset()
    ) -> GraphPart:
        """The part of some convex nodes, with its own copies of others.

        Args:
            positions: The nodes.
            copies: Nodes that are copied into the part where it reads what they compute, as those
                are that depend on weights alone. Their results are no outputs of the part.
        """
        inside = set(positions)
        added: set[int] = set()
        pending = list(inside)
        while pending:
            for name in self.reads[pending.pop()]:
                source = self.producer.get(name, NONE)
                if source == NONE or source in inside or source in added:
                    continue
                if self.is_constant[source] or source in copies:
                    added.add(source)
                    pending.append(source)
        return self._bounded(inside | added, copies)

    def between(self, inside: set[int]) -> set[int]:
        """The nodes outside of a part through which its values come back to it.

        Nodes that depend on weights alone are none of them: a part has its own copies of these.
        """
        return self.on_paths(inside, lambda position: position not in inside)

    def on_paths(self, ends: set[int], admits: Callable[[int], bool]) -> set[int]:
        """The nodes that lie on paths between some nodes, and that are admitted.

        Args:
            ends: Where the paths begin and end; those that depend on weights alone are no ends.
            admits: Whether a node may lie on such a path. For the nodes of a part, all outside do.
        """
        work = {position for position in ends if not self.is_constant[position]}
        after = self._reached(work, self.after, admits)
        return after & self._reached(work, self.before, admits)

    def describe(self, position: int) -> str:
        """A node as errors name it."""
        node = self.nodes[position]
        tag = self._file.tag(position)  # the main graph's nodes have the first numbers
        return f"{node.name or f'#{position}'} ({node.op_type}, {tag or 'in no module'})"

    @staticmethod
    def _reached(
        start: set[int], step: Callable[[int], list[int]], admits: Callable[[int], bool]
    ) -> set[int]:
        reached: set[int] = set()
        pending = list(start)
        while pending:
            for other in step(pending.pop()):
                if other not in reached and admits(other):
                    reached.add(other)
                    pending.append(other)
        return reached

    def after(self, position: int) -> list[int]:
        """The nodes that read what a node computes."""
        return [c for name in self.nodes[position].output for c in self.consumers.get(name, ())]

    def before(self, position: int) -> list[int]:
        """The nodes that compute what a node reads."""
        return [self.producer[name] for name in self.reads[position] if name in self.producer]

    def _bounded(self, inside: set[int], copies: Collection[int]) -> GraphPart:
        nodes = sorted(inside)
        read = list(dict.fromkeys(name for position in nodes for name in self.reads[position]))
        computed = [name for position in nodes for name in self.nodes[position].output if name]
        outputs = [
            name
            for name in computed
            if name in self.returned or any(c not in inside for c in self.consumers.get(name, ()))
        ]
        outputs = outputs or [name for name in computed if name not in self.consumers]
        copied = {
            name
            for position in nodes
            if self.is_constant[position] or position in copies
            for name in self.nodes[position].output
        }
        varying = [name for name in outputs if name not in copied or name in self.returned]
        require_text(*read, *outputs)
        return GraphPart(
            nodes=nodes,
            inputs=[n for n in read if n not in computed and n not in self.initializers],
            outputs=varying or outputs,
            initializers=self.initializers.intersection([*read, *computed, *outputs]),
        )


def weight_bytes(weight: onnx.TensorProto) -> int:
    """Bytes of the values of a weight; 0 for a type without a fixed size."""
    return tensor_bytes(weight.data_type, math.prod(weight.dims)) or 0
