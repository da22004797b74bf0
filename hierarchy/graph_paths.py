"""Walking an ONNX model: which graphs it holds, how a node is addressed, how it is recognised.

A node is addressed by the path of its graph and its position there (`NodeKey`). The main graph
is "". The subgraph that attribute `then_branch` holds on node 7 of graph `P` is
`P/7.then_branch`; the k-th of a list is `P/7.branches[k]`. A model-local function is
`@domain:name`, or `@domain:name:overload`; a second one of that name has `#2` behind it.
"""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import onnx

from modelexport.hierarchy.keys import TAG_ATTRIBUTE
from modelexport.hierarchy.opsets import DEFAULT_DOMAINS

MAIN = ""
"""Path of the main graph."""

SMALL_TENSOR_BYTES = 1024
"""A tensor of this size or more counts as a weight: its bytes are no part of the digest."""


_SUBGRAPH_TYPES = {
    onnx.AttributeProto.GRAPH,
    onnx.AttributeProto.GRAPHS,
    onnx.AttributeProto.UNDEFINED,  # the oldest files do not say
}
"""Types of attributes that may hold subgraphs."""


class NodeKey(NamedTuple):
    """Where a node stands: path of its graph, and position there."""

    graph: str
    position: int


class Place(NamedTuple):
    """One graph or function of a model, with its path and that of the graph around it."""

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
    if not slash or not position.isdecimal():  # the name of a function may have a slash in it
        return None
    return SubgraphPath(parent, int(position), attribute)


def parent_graph(path: str) -> str | None:
    """Path of the graph around a subgraph; None for the main graph and for functions."""
    parts = split_subgraph_path(path)
    return None if parts is None else parts.parent


def walk_graphs(model: onnx.ModelProto) -> Iterator[Place]:
    """Every graph of a model: the main graph, then each function; subgraphs follow their graph."""
    yield from _within(Place(MAIN, model.graph, None))
    seen: dict[str, int] = {}
    for function in model.functions:
        path = "@" + ":".join([function.domain, function.name, *filter(None, [function.overload])])
        seen[path] = seen.get(path, 0) + 1
        if seen[path] > 1:
            path += f"#{seen[path]}"
        yield from _within(Place(path, function, None))


def walk_nodes(model: onnx.ModelProto) -> Iterator[tuple[NodeKey, onnx.NodeProto]]:
    """Every node of every graph, in the order of `walk_graphs`."""
    for place in walk_graphs(model):
        for index, node in enumerate(place.graph.node):
            yield NodeKey(place.path, index), node


def has_subgraphs(node: onnx.NodeProto) -> bool:
    """Whether a node may have subgraphs; cheaper than looking for them."""
    for attribute in node.attribute:  # noqa: SIM110 - three times as fast as `any`
        if attribute.type in _SUBGRAPH_TYPES:
            return True
    return False


def subgraphs(node: onnx.NodeProto) -> Iterator[tuple[str, onnx.GraphProto]]:
    """The subgraphs of one node with the name that each has in a path (`then_branch`)."""
    for attribute in node.attribute:
        if attribute.type not in _SUBGRAPH_TYPES:
            continue
        if attribute.HasField("g"):
            yield attribute.name, attribute.g
        for k, subgraph in enumerate(attribute.graphs):
            yield f"{attribute.name}[{k}]", subgraph


def op_type(node: onnx.NodeProto) -> str:
    """The operator, with its domain in front when that is not the default one."""
    return node.op_type if node.domain in DEFAULT_DOMAINS else f"{node.domain}::{node.op_type}"


def _within(place: Place) -> Iterator[Place]:
    yield place
    for index, node in enumerate(place.graph.node):
        if has_subgraphs(node):
            for name, subgraph in subgraphs(node):
                path = subgraph_path(place.path, index, name)
                yield from _within(Place(path, subgraph, place.path))


def digest(model: onnx.ModelProto) -> str:
    """What two files of the same plain graph have in common.

    Covers every node, input, output, and the name, type and shape of each initializer; not
    the weights' bytes, nor where they are stored, nor metadata or doc strings. So annotating
    a file or moving its weights to external data leaves the digest as it was.
    """
    hashed = hashlib.sha256()

    def add(*parts: str | bytes) -> None:
        for part in parts:
            data = part if isinstance(part, bytes) else part.encode(errors="surrogatepass")
            hashed.update(b"%d:" % len(data))
            hashed.update(data)

    for opset in sorted(model.opset_import, key=lambda entry: entry.domain):
        add(opset.domain, str(opset.version))
    for place in walk_graphs(model):
        add(place.path)
        if isinstance(place.graph, onnx.GraphProto):
            for initializer in place.graph.initializer:
                add(initializer.name, _kind(initializer))
            for sparse in place.graph.sparse_initializer:
                add(sparse.values.name, _kind(sparse.values))
            for value in (*place.graph.input, *place.graph.output):
                add(value.name, value.type.SerializeToString(deterministic=True))
        else:
            add(*place.graph.input, "->", *place.graph.output, *place.graph.attribute)
        for node in place.graph.node:
            add(node.name, op_type(node), node.overload, *node.input, "->", *node.output)
            for attribute in node.attribute:
                if attribute.name != TAG_ATTRIBUTE:
                    add(attribute.name, *_attribute(attribute))
    return hashed.hexdigest()


def _attribute(attribute: onnx.AttributeProto) -> Iterator[str | bytes]:
    """What identifies an attribute; the subgraphs of graph attributes are walked elsewhere."""
    tensors = [*([attribute.t] if attribute.HasField("t") else ()), *attribute.tensors]
    if attribute.HasField("sparse_tensor"):
        tensors.append(attribute.sparse_tensor.values)
    if attribute.HasField("g") or attribute.graphs:
        yield str(len(attribute.graphs))
    elif not tensors:
        yield attribute.SerializeToString(deterministic=True)
    for tensor in tensors:
        yield _kind(tensor)
        if _bytes(tensor) < SMALL_TENSOR_BYTES:
            yield from (tensor.raw_data, str(list(tensor.float_data)), str(list(tensor.int64_data)))
            yield from (str(list(tensor.int32_data)), str(list(tensor.double_data)))
            yield from (str(list(tensor.uint64_data)), str(list(tensor.string_data)))


def _kind(tensor: onnx.TensorProto) -> str:
    return f"{tensor.data_type}{list(tensor.dims)}"


def _bytes(tensor: onnx.TensorProto) -> int:
    size = 8 if tensor.data_type in {onnx.TensorProto.INT64, onnx.TensorProto.DOUBLE} else 4
    for extent in tensor.dims:
        size *= extent
    return size
