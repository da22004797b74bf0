"""What the alignment sees of a graph: with, or without, nodes that pass values through."""

from collections.abc import Mapping, Sequence
from functools import cached_property

from modelexport.rewriter.graph.indexed_graph import NONE, IndexedGraph
from modelexport.rewriter.graph.operators import is_pass_through


class GraphView:
    """A graph with every node in it. Neighbours are looked up when they are asked for.

    Attributes:
        graph: The graph.
        origin: For each value, the value whose numbers it holds: itself if a node computes it.
        pass_through: Whether each node is left out of the view.
    """

    origin: Sequence[int]
    pass_through: Sequence[bool]

    def __init__(self, graph: IndexedGraph) -> None:
        self.graph = graph
        self.origin = range(len(graph.value_names))
        self.pass_through = [False] * len(graph)

    def inputs(self, node: int) -> Sequence[int]:
        """Values that a node reads."""
        return self.graph.input_values(node)

    def predecessors(self, node: int) -> Sequence[int]:
        """Nodes that compute what a node reads."""
        producers = (self.graph.producer[value] for value in self.graph.input_values(node))
        return [producer for producer in producers if producer != NONE]

    def successors(self, node: int) -> Sequence[int]:
        """Nodes that read what a node computes, each once, in their order."""
        consumers = self.graph.consumers
        return sorted({n for value in self.graph.output_values(node) for n in consumers[value]})

    def consumers(self, value: int) -> Sequence[int]:
        """Nodes that read an input or initializer, each once, in their order."""
        return sorted(set(self.graph.consumers[value]))

    @cached_property
    def initializer_consumers(self) -> Mapping[int, list[int]]:
        """Nodes that read each initializer, those that pass it through included."""
        initializers = self.graph.initializers
        consumers: dict[int, list[int]] = {}
        for node in range(len(self.graph)):
            for value in self.inputs(node):
                if value in initializers:
                    nodes = consumers.setdefault(value, [])
                    if not nodes or nodes[-1] != node:
                        nodes.append(node)
        return consumers


class ContractedGraph(GraphView):
    """A graph without the nodes that pass values through.

    Casts, reshapes, transpositions, quantisers and other nodes that return the numbers that they
    read are contracted: exporters and optimisers add and drop them freely, so neighbours are
    compared across them.

    Args:
        graph: The graph.
        passed_values: Nodes that pass an input through, as compared values show, each with this
            input. Nodes whose operator passes its first input through are found without it.
    """

    def __init__(self, graph: IndexedGraph, passed_values: Mapping[int, int]) -> None:
        super().__init__(graph)
        by_operator = {kind: is_pass_through(kind) for kind in set(graph.op_types)}
        self.pass_through = [
            node in passed_values or by_operator[kind] for node, kind in enumerate(graph.op_types)
        ]
        self.origin = self._find_origins(passed_values)
        self._inputs: list[list[int]] = []
        self._predecessors: list[list[int]] = []
        self._successors: list[list[int]] = [[] for _ in graph.op_types]
        self._consumers: dict[int, list[int]] = {}
        for node in range(len(graph)):
            origins = [self.origin[value] for value in graph.input_values(node)]
            producers = [graph.producer[value] for value in origins]
            self._inputs.append(origins)
            self._predecessors.append([producer for producer in producers if producer != NONE])
            if self.pass_through[node]:
                continue
            for value, producer in zip(origins, producers, strict=True):
                if producer == NONE:
                    nodes = self._consumers.setdefault(value, [])
                else:
                    nodes = self._successors[producer]
                if not nodes or nodes[-1] != node:
                    nodes.append(node)

    def _find_origins(self, passed_values: Mapping[int, int]) -> list[int]:
        inputs, outputs = self.graph.inputs, self.graph.outputs
        origin = list(range(len(self.graph.value_names)))
        for node, passes in enumerate(self.pass_through):
            if passes and inputs[node]:
                source = passed_values.get(node, inputs[node][0])
                if source != NONE and outputs[node][:1] not in ([], [NONE]):
                    origin[outputs[node][0]] = origin[source]
        return origin

    def inputs(self, node: int) -> Sequence[int]:
        """Values that a node reads, each as the value whose numbers it holds."""
        return self._inputs[node]

    def predecessors(self, node: int) -> Sequence[int]:
        """Nodes that compute what a node reads; contracted nodes are skipped."""
        return self._predecessors[node]

    def successors(self, node: int) -> Sequence[int]:
        """Nodes that read what a node computes; contracted nodes are skipped."""
        return self._successors[node]

    def consumers(self, value: int) -> Sequence[int]:
        """Nodes that read an input or initializer; contracted nodes are skipped."""
        return self._consumers.get(value, ())
