"""The part of a graph that some modules make up: its nodes, inputs and outputs.

A part must be *convex*: no path leaves it and comes back. Nodes that depend on weights
alone belong to every part that reads them, so they are copied into the part.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import onnx

from modelexport.errors import NoSuchModuleError, UsageError
from modelexport.hierarchy.graph_paths import MAIN
from modelexport.rewriter.analysis.costs.sizes import tensor_bytes
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.graph.indexed_graph import NONE
from modelexport.rewriter.graph.subgraph_names import captured_names, initializer_names
from modelexport.rewriter.graph.texts import gap_reason, require_text

_RANDOM = {"RandomNormal", "RandomUniform"}
"""Operators without inputs that compute other values at every run."""

_ROUNDING = {"QuantizeLinear", "DequantizeLinear"}
"""Operators that a quantiser writes around values, and that may carry the tag of another module."""


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
        producer: Position of the node that computes each value.
        consumers: Positions of the nodes that read each value.
        is_constant: Whether each node depends on weights and constants alone.
        work: Positions of the nodes that depend on inputs, or whose results the graph returns; each
            behind those that it reads from, which some tools do not write in this order.
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
        self.is_constant = self._find_constants()
        self.work = [
            position
            for position in self._in_order()
            if not self.is_constant[position]
            or self.returned.intersection(graph.node[position].output)
        ]

    def _in_order(self) -> list[int]:
        """The positions of the nodes, each behind those that it reads from."""
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

    def _find_constants(self) -> list[bool]:
        """Whether each node depends on weights and constants alone."""
        constant: list[bool] = []
        for position, node in enumerate(self.nodes):
            sources = (self.producer.get(name, NONE) for name in self.reads[position])
            ready = all(
                name in self.initializers or (NONE != source < position and constant[source])
                for name, source in zip(self.reads[position], sources, strict=True)
            )
            constant.append(ready and node.op_type not in _RANDOM)
        return constant

    def part(self, chosen: Iterable[int], label: str) -> GraphPart:
        """The part that consists of some nodes.

        What a quantiser wrote between them, and nothing else reads, belongs to it, too.

        Args:
            chosen: Numbers of the nodes, those of subgraphs included.
            label: The part as errors name it.

        Raises:
            NoSuchModuleError: There are no nodes.
            UsageError: The part is not convex, or is a part of a subgraph.
        """
        if not chosen:
            raise NoSuchModuleError(f"{self._file.path}: {label} has no nodes in this file.")
        keys = [self._file.graph.keys[number] for number in chosen]
        inside = {key.position for key in keys if key.graph == MAIN}
        holders = {holder for path in {key.graph for key in keys} for holder in self.holders(path)}
        if not inside or holders - inside:
            raise UsageError(
                f"{self._file.path}: {label}: nodes run inside a branch, a loop or a function, and "
                "cannot be cut out of it."
            )
        between = self._between(inside)
        if any(not self._is_enclosed(position, inside | between) for position in between):
            reason = gap_reason(map(self.describe, sorted(between)))
            raise UsageError(f"{self._file.path}: {label} cannot be cut out: {reason}")
        return self.convex_part(inside | between)

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

    def convex_part(self, positions: Iterable[int]) -> GraphPart:
        """The part of some convex nodes, with the nodes that only depend on weights."""
        inside = set(positions)
        return self._bounded(inside | self._constants_for(inside))

    def _constants_for(self, inside: set[int]) -> set[int]:
        added: set[int] = set()
        pending = list(inside)
        while pending:
            for name in self.reads[pending.pop()]:
                source = self.producer.get(name, NONE)
                if source != NONE and self.is_constant[source] and source not in inside | added:
                    added.add(source)
                    pending.append(source)
        return added

    def _between(self, inside: set[int]) -> set[int]:
        """The nodes outside of a part through which its values come back to it.

        Nodes that depend on weights alone are none of them: a part has its own copies of these.
        """
        work = {position for position in inside if not self.is_constant[position]}
        after = self._reached(work, forwards=True)
        return (after & self._reached(work, forwards=False)) - inside

    def _is_enclosed(self, position: int, part: set[int]) -> bool:
        """Whether a node rounds a value for a part alone, as a quantiser writes it."""
        node = self.nodes[position]
        rounds = node.op_type in _ROUNDING and not self.returned.intersection(node.output)
        return rounds and part.issuperset(self._after(position))

    def describe(self, position: int) -> str:
        """A node as errors name it."""
        node = self.nodes[position]
        tag = self._file.tag(position)  # the main graph's nodes have the first numbers
        return f"{node.name or f'#{position}'} ({node.op_type}, {tag or 'in no module'})"

    def _reached(self, start: set[int], *, forwards: bool) -> set[int]:
        """The nodes that depend on some nodes, or on which these depend."""
        reached: set[int] = set()
        pending = list(start)
        while pending:
            position = pending.pop()
            for other in self._after(position) if forwards else self.before(position):
                if other not in reached:
                    reached.add(other)
                    pending.append(other)
        return reached

    def _after(self, position: int) -> list[int]:
        return [c for name in self.nodes[position].output for c in self.consumers.get(name, ())]

    def before(self, position: int) -> list[int]:
        """The nodes that compute what a node reads."""
        return [self.producer[name] for name in self.reads[position] if name in self.producer]

    def _bounded(self, inside: set[int]) -> GraphPart:
        nodes = sorted(inside)
        read = list(dict.fromkeys(name for position in nodes for name in self.reads[position]))
        computed = [name for position in nodes for name in self.nodes[position].output if name]
        outputs = [
            name
            for name in computed
            if name in self.returned or any(c not in inside for c in self.consumers.get(name, ()))
        ]
        outputs = outputs or [name for name in computed if name not in self.consumers]
        constant = {n for p in nodes if self.is_constant[p] for n in self.nodes[p].output}
        varying = [name for name in outputs if name not in constant or name in self.returned]
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
