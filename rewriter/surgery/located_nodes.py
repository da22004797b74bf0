"""The node objects of a graphsurgeon graph with their addresses in the model."""

from collections.abc import Iterator
from typing import Any

import onnx

from modelexport.hierarchy.graph_paths import (
    MAIN,
    NodeKey,
    subgraph_path,
    subgraphs,
    walk_graphs,
)
from modelexport.rewriter.surgery.origins import GraphMessage, GraphObject

LocatedNode = tuple[NodeKey, Any]
"""The address of a node, and its object."""


def located_nodes(graph: GraphObject, model: onnx.ModelProto) -> Iterator[LocatedNode]:
    """Every node object of a graph, of its subgraphs and functions, with its address.

    Args:
        graph: The graph.
        model: The model that it was made from, or that was written from it.
    """
    yield from _nodes_of(graph, model.graph, MAIN)
    functions = [g for g in walk_graphs(model) if isinstance(g.graph, onnx.FunctionProto)]
    for function, located in zip(graph.functions, functions, strict=True):
        yield from _nodes_of(function, located.graph, located.path)


def _nodes_of(graph: GraphObject, message: GraphMessage, path: str) -> Iterator[LocatedNode]:
    first = len(message.node) - len(graph.nodes)  # Constant nodes of a function stand first
    for position, node in enumerate(graph.nodes, first):
        yield NodeKey(path, position), node
        for attribute, subgraph in subgraphs(message.node[position]):
            if attribute in node.attrs:  # graphsurgeon does not read lists of graphs
                inner = subgraph_path(path, position, attribute)
                yield from _nodes_of(node.attrs[attribute], subgraph, inner)
