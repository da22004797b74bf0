"""A model's nodes with their addresses, and how they depend on each other across functions."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import repeat

import onnx

from modelexport.hierarchy.graph_paths import (
    LocatedGraph,
    NodeKey,
    op_type,
    parent_graph,
    split_subgraph_path,
    walk_graphs,
)
from modelexport.rewriter.graph.indexed_graph import NONE, IndexedGraph, ScopedName
from modelexport.rewriter.graph.operators import is_data_movement


class ModelGraph:
    """The nodes of a model, numbered in the order of `walk_nodes`, subgraphs included.

    What goes beyond the list of nodes is computed when it is asked for.

    Attributes:
        model: The model.
        graphs: Its graphs, as `walk_graphs` gives them.
        keys, nodes: Address and protobuf message of each node.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self.graphs: list[LocatedGraph] = list(walk_graphs(model))
        self.keys: list[NodeKey] = []
        self.nodes: list[onnx.NodeProto] = []
        self._first_node: dict[str, int] = {}
        for located in self.graphs:
            self._first_node[located.path] = len(self.nodes)
            self.nodes.extend(located.graph.node)
            self.keys.extend(map(NodeKey, repeat(located.path), range(len(located.graph.node))))

    def __len__(self) -> int:
        return len(self.nodes)

    @cached_property
    def op_types(self) -> list[str]:
        """Operator of each node, its domain in front when that is not the default one."""
        return [node.op_type if not node.domain else op_type(node) for node in self.nodes]

    @cached_property
    def input_names(self) -> list[tuple[str, ...]]:
        """Names of the inputs of each node; "" for an omitted one."""
        return [tuple(node.input) for node in self.nodes]

    @cached_property
    def indexed(self) -> IndexedGraph:
        """The nodes and the values between them, as numbers."""
        paths = (key.graph for key in self.keys)
        outputs = (node.output for node in self.nodes)
        subgraph_inputs = {
            located.path: frozenset(value.name for value in located.graph.input)
            for located in self.graphs
            if located.parent is not None and isinstance(located.graph, onnx.GraphProto)
        }
        return IndexedGraph(
            list(zip(paths, self.op_types, self.input_names, outputs, strict=True)),
            _initializer_names(self.graphs),
            graph_outputs=_returned_names(self.graphs),
            subgraph_inputs=subgraph_inputs,
        )

    @cached_property
    def derived(self) -> list[bool]:
        """Whether each node depends on nothing but constants and the shapes of values.

        A call of a function that computes is not derived, whatever it reads: it is the work of
        a module. Nor is what depends on it.
        """
        calls = {node for nodes in self._callers.values() for node in nodes}
        computing = calls | self._subgraphs.keys() | self.indexed.control_flow_nodes
        if computing == self.indexed.control_flow_nodes:
            return self.indexed.derived
        return self.indexed.derived_without(computing)

    @property
    def predecessors(self) -> list[list[int]]:
        """Nodes that compute what each node reads, once for each time that it reads it.

        What a subgraph or function returns is read by the node that holds or calls it, and that
        node computes what the subgraph or function is given.
        """
        return self._edges[0]

    @property
    def successors(self) -> list[list[int]]:
        """Nodes that read what each node computes, once for each time that they read it."""
        return self._edges[1]

    def is_auxiliary(self, node: int) -> bool:
        """Whether a node computes nothing of a module's own.

        Constants, shape arithmetic and nodes that only move values are auxiliary: they belong
        to the nodes that use their results.
        """
        proto = self.nodes[node]
        return self.derived[node] or is_data_movement(proto.domain, proto.op_type)

    def consumers_first(self) -> Iterator[int]:
        """Every node after the nodes that read its outputs, feedback of loops aside."""
        yield from self._backwards(self.graphs[0])
        for located in self._functions_callers_first():
            yield from self._backwards(located)

    def _backwards(self, located: LocatedGraph) -> Iterator[int]:
        first = self._first_node[located.path]
        for index in range(len(located.graph.node) - 1, -1, -1):
            yield first + index
            for subgraph in self._subgraphs.get(first + index, ()):
                yield from self._backwards(subgraph)

    def _functions_callers_first(self) -> list[LocatedGraph]:
        functions = {
            located.path: located
            for located in self.graphs
            if isinstance(located.graph, onnx.FunctionProto)
        }
        ordered: list[LocatedGraph] = []
        visited: set[str] = set()

        def visit(path: str) -> None:
            if path not in visited:
                visited.add(path)
                for caller in self._callers.get(path, ()):
                    outermost = _outermost_graph(self.keys[caller].graph)
                    if outermost in functions:
                        visit(outermost)
                ordered.append(functions[path])

        for path in functions:
            visit(path)
        return ordered

    @cached_property
    def _subgraphs(self) -> dict[int, list[LocatedGraph]]:
        """The subgraphs of each node that has any."""
        subgraphs: dict[int, list[LocatedGraph]] = {}
        for located in self.graphs:
            node = self._node_around(located.path)
            if node is not None:
                subgraphs.setdefault(node, []).append(located)
        return subgraphs

    @cached_property
    def _callers(self) -> dict[str, list[int]]:
        """The nodes that call each function, by its path."""
        paths: dict[tuple[str, str, str], str] = {}
        for located in self.graphs:
            if isinstance(located.graph, onnx.FunctionProto):
                function = located.graph
                paths.setdefault((function.domain, function.name, function.overload), located.path)
        callers: dict[str, list[int]] = {}
        for number, node in enumerate(self.nodes) if paths else ():
            path = paths.get((node.domain, node.op_type, node.overload))
            if path is not None:
                callers.setdefault(path, []).append(number)
        return callers

    def _node_around(self, path: str) -> int | None:
        """The node that holds a subgraph; None for the main graph and for functions."""
        parts = split_subgraph_path(path)
        return None if parts is None else self._first_node[parts.parent] + parts.position

    def nodes_around(self, path: str) -> Iterable[int]:
        """The node that holds a subgraph, or the nodes that call a function."""
        node = self._node_around(path)
        return self._callers.get(path, ()) if node is None else (node,)

    @cached_property
    def _edges(self) -> tuple[list[list[int]], list[list[int]]]:
        """Predecessors and successors of each node."""
        predecessors: list[list[int]] = [[] for _ in self.nodes]
        successors: list[list[int]] = [[] for _ in self.nodes]
        graph = self.indexed
        for node in range(len(graph)):
            for value in self._own_inputs(node):
                if value == NONE:
                    continue
                producer = graph.producer[value]
                if producer != NONE:
                    predecessors[node].append(producer)
                    successors[producer].append(node)
                elif value not in graph.initializers:
                    predecessors[node].extend(self._sources_of_input(value))
        for path, name in _returned_names(self.graphs):
            value = graph.value_of(path, name)
            producer = NONE if value == NONE else graph.producer[value]
            for node in self.nodes_around(path) if producer != NONE else ():
                predecessors[node].append(producer)
                successors[producer].append(node)
        return predecessors, successors

    def _own_inputs(self, node: int) -> list[int]:
        """Values that a node itself reads, without what its subgraphs capture."""
        values = self.indexed.inputs[node]
        holds = node in self.indexed.control_flow_nodes
        return values[: len(self.nodes[node].input)] if holds else values

    def _sources_of_input(self, value: int) -> Iterable[int]:
        """The nodes through which a subgraph or function is given one of its inputs."""
        path, name = self.indexed.value_names[value]
        declaring: str | None = path
        while declaring is not None:
            if name in self._input_names[declaring]:
                return self.nodes_around(declaring)
            declaring = parent_graph(declaring)
        return self.nodes_around(path)

    @cached_property
    def _input_names(self) -> dict[str, frozenset[str]]:
        """Names of the inputs of each graph and function, by its path."""
        return {
            located.path: frozenset(
                i if isinstance(i, str) else i.name for i in located.graph.input
            )
            for located in self.graphs
        }


def _outermost_graph(path: str) -> str:
    """The main graph or the function in which a graph stands."""
    while (parent := parent_graph(path)) is not None:
        path = parent
    return path


def _initializer_names(graphs: Iterable[LocatedGraph]) -> Iterable[ScopedName]:
    """Graph path and name of every initializer of some graphs, sparse ones included."""
    for located in graphs:
        if isinstance(located.graph, onnx.GraphProto):
            yield from ((located.path, tensor.name) for tensor in located.graph.initializer)
            yield from ((located.path, t.values.name) for t in located.graph.sparse_initializer)


def _returned_names(graphs: Iterable[LocatedGraph]) -> Iterable[ScopedName]:
    """Graph path and name of every value that a graph or function returns."""
    for located in graphs:
        for output in located.graph.output:
            yield located.path, output if isinstance(output, str) else output.name
