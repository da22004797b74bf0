"""The graphs of an ONNX model, and the paths that address them.

A node is addressed by the path of its graph and its position in that graph (`NodeKey`). The path
of the main graph is "". The subgraph in attribute `then_branch` of node 7 of graph `P` has the
path `P/7.then_branch`; the k-th subgraph of a list has `P/7.attribute[k]`. A model-local function
has the path `@domain:name` or `@domain:name:overload`. A second function, or attribute, of the same
name ends in `#2`.
"""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import onnx

from modelexport.hierarchy.opsets import DEFAULT_DOMAINS
from modelexport.support.numerals import is_numeral

MAIN = ""
"""Path of the main graph."""

_SUBGRAPH_TYPES = {
    onnx.AttributeProto.GRAPH,
    onnx.AttributeProto.GRAPHS,
    onnx.AttributeProto.UNDEFINED,  # the oldest files do not give the type
}
"""Types of attributes that may hold subgraphs."""


class NodeKey(NamedTuple):
    """The address of a node: the path of its graph, and its position in that graph."""

    graph: str
    position: int


class LocatedGraph(NamedTuple):
    """A graph or function of a model, with its path.

    Attributes:
        path: Its path.
        graph: The graph or function itself.
        parent: Path of the graph around it; None for the main graph and for functions.
    """

    path: str
    graph: onnx.GraphProto | onnx.FunctionProto
    parent: str | None


class SubgraphPath(NamedTuple):
    """The parts of a subgraph's path: the graph around it, and which node's attribute holds it."""

    parent: str
    position: int
    attribute: str


def subgraph_path(parent: str, position: int, attribute: str) -> str:
    """Path of the subgraph that an attribute of a node holds.

    Args:
        parent: Path of the graph in which the node stands.
        position: The node's position there.
        attribute: The attribute's name, with `[k]` for the k-th of a list.

    >>> subgraph_path("", 7, "then_branch")
    '/7.then_branch'
    """
    return f"{parent}/{position}.{attribute}"


def split_subgraph_path(path: str) -> SubgraphPath | None:
    """The parts of a subgraph's path; None for the main graph and for functions.

    >>> split_subgraph_path("/7.then_branch")
    SubgraphPath(parent='', position=7, attribute='then_branch')
    """
    parent, slash, step = path.rpartition("/")
    position, _, attribute = step.partition(".")
    if not slash or not is_numeral(position):  # the name of a function may have a slash in it
        return None
    return SubgraphPath(parent, int(position), attribute)


def parent_graph(path: str) -> str | None:
    """Path of the graph around a subgraph; None for the main graph and for functions."""
    parts = split_subgraph_path(path)
    return None if parts is None else parts.parent


def walk_graphs(model: onnx.ModelProto) -> Iterator[LocatedGraph]:
    """Every graph of a model: the main graph, then each function; subgraphs after their parent."""
    yield from _with_subgraphs(LocatedGraph(MAIN, model.graph, None))
    counts: Counter[str] = Counter()
    for function in model.functions:
        names = (function.domain, function.name, *filter(None, [function.overload]))
        path = "@" + ":".join(map(_readable, names))
        counts[path] += 1
        if counts[path] > 1:
            path += f"#{counts[path]}"
        yield from _with_subgraphs(LocatedGraph(path, function, None))


def _readable(name: str | bytes) -> str:
    """A name as text; protobuf gives the bytes of a name that is no UTF-8."""
    return name if isinstance(name, str) else name.decode(errors="backslashreplace")


def walk_nodes(model: onnx.ModelProto) -> Iterator[tuple[NodeKey, onnx.NodeProto]]:
    """Every node of every graph with its address, in the order of `walk_graphs`."""
    for path, graph, _ in walk_graphs(model):
        for position, node in enumerate(graph.node):
            yield NodeKey(path, position), node


def has_subgraphs(node: onnx.NodeProto) -> bool:
    """Whether a node may have subgraphs. This is faster than calling `subgraphs`."""
    for attribute in node.attribute:  # noqa: SIM110 - three times as fast as `any`
        if attribute.type in _SUBGRAPH_TYPES:
            return True
    return False


def subgraphs(node: onnx.NodeProto) -> Iterator[tuple[str, onnx.GraphProto]]:
    """The subgraphs of a node, each with its name in a path (`then_branch`, `attribute[0]`)."""
    counts: Counter[str] = Counter()
    for attribute in node.attribute:
        if attribute.type not in _SUBGRAPH_TYPES:
            continue
        counts[attribute.name] += 1
        again = f"#{counts[attribute.name]}" if counts[attribute.name] > 1 else ""
        if attribute.HasField("g"):
            yield attribute.name + again, attribute.g
        for index, subgraph in enumerate(attribute.graphs):
            yield f"{attribute.name}[{index}]{again}", subgraph


def op_type(node: onnx.NodeProto) -> str:
    """The operator type, with the domain in front when it is not the default domain."""
    return node.op_type if node.domain in DEFAULT_DOMAINS else f"{node.domain}::{node.op_type}"


def _with_subgraphs(located: LocatedGraph) -> Iterator[LocatedGraph]:
    """A graph, then all subgraphs inside it."""
    yield located
    for position, node in enumerate(located.graph.node):
        if node.attribute and has_subgraphs(node):
            for name, subgraph in subgraphs(node):
                path = subgraph_path(located.path, position, name)
                yield from _with_subgraphs(LocatedGraph(path, subgraph, located.path))
