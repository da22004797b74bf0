"""The names that a graph defines itself, and those that it reads from the graphs around it.

A *subgraph* is a graph in an attribute of a node: a branch of If, or what Loop and Scan repeat.
"""

from collections.abc import Iterable, Iterator

import onnx

from modelexport.hierarchy.graph_paths import subgraphs


def initializer_names(graph: onnx.GraphProto) -> set[str]:
    """Names of a graph's own initializers, sparse ones included."""
    sparse = (weight.values.name for weight in graph.sparse_initializer)
    return {*(weight.name for weight in graph.initializer), *sparse}


def defined_names(graph: onnx.GraphProto) -> set[str]:
    """Names of a graph's inputs, initializers and node outputs."""
    outputs = (name for node in graph.node for name in node.output if name)
    return {*initializer_names(graph), *(value.name for value in graph.input), *outputs}


def names_in_use(graph: onnx.GraphProto | onnx.FunctionProto) -> set[str]:
    """Names of all values of a graph or function, and of the subgraphs in it."""
    if isinstance(graph, onnx.FunctionProto):
        names = {*graph.input, *(name for node in graph.node for name in node.output)}
    else:
        names = defined_names(graph)
    for node in graph.node:
        for _, subgraph in subgraphs(node) if node.attribute else ():
            names |= names_in_use(subgraph)
    return names


def captured_names(node: onnx.NodeProto) -> list[str]:
    """Values around a node that its subgraphs read, each once, in the order of their first use."""
    captured: dict[str, None] = {}
    for _, subgraph in subgraphs(node) if node.attribute else ():
        captured.update(dict.fromkeys(_undefined_names(subgraph)))
    return list(captured)


def can_run_in_order(nodes: Iterable[onnx.NodeProto]) -> bool:
    """Whether no node of a graph reads what a later one makes."""
    nodes = list(nodes)
    later = {name for node in nodes for name in node.output if name}
    for node in nodes:
        if not later.isdisjoint(node.input) or not later.isdisjoint(captured_names(node)):
            return False
        later.difference_update(node.output)
    return True


def _undefined_names(subgraph: onnx.GraphProto) -> Iterator[str]:
    """Names that a subgraph uses and does not define, in the order of use."""
    defined = defined_names(subgraph)
    for node in subgraph.node:
        for name in (*node.input, *captured_names(node)):
            if name and name not in defined:
                yield name
    yield from (value.name for value in subgraph.output if value.name not in defined)
