"""The names that a graph defines itself, and those that it reads from the graphs around it.

A *subgraph* is a graph in an attribute of a node: a branch of If, or what Loop and Scan repeat.
"""

from collections.abc import Iterator

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


def captured_names(node: onnx.NodeProto) -> list[str]:
    """Values around a node that its subgraphs read, each once, in the order of their first use."""
    captured: dict[str, None] = {}
    for _, subgraph in subgraphs(node) if node.attribute else ():
        captured.update(dict.fromkeys(_undefined_names(subgraph)))
    return list(captured)


def _undefined_names(subgraph: onnx.GraphProto) -> Iterator[str]:
    """Names that a subgraph uses and does not define, in the order of use."""
    defined = defined_names(subgraph)
    for node in subgraph.node:
        for name in (*node.input, *captured_names(node)):
            if name and name not in defined:
                yield name
    yield from (value.name for value in subgraph.output if value.name not in defined)
