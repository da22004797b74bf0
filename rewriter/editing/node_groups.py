"""Groups of nodes of a graphsurgeon graph: what they read and compute, and replacing them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from modelexport.rewriter.surgery import is_variable, new_node, subgraphs_of

Nodes = Sequence[Any]
"""Objects of `onnx_graphsurgeon.Node`."""


class GapError(Exception):
    """Nodes cannot become one node: other nodes lie between them.

    Attributes:
        nodes: These others.
    """

    def __init__(self, nodes: Nodes) -> None:
        super().__init__(f"{len(nodes)} nodes are between")
        self.nodes = nodes


def reads(node: Any) -> Iterator[Any]:
    """The tensors that a node reads, with those that its subgraphs read from around them."""
    yield from node.inputs
    for subgraph in subgraphs_of(node):
        own = {id(tensor) for tensor in subgraph.inputs}
        own |= {id(tensor) for inner in subgraph.nodes for tensor in inner.outputs}
        inside = [tensor for inner in subgraph.nodes for tensor in reads(inner)]
        yield from (t for t in (*inside, *subgraph.outputs) if id(t) not in own)


def inputs_of(nodes: Nodes) -> list[Any]:
    """The variables that some nodes read and do not compute, in the order of their first use."""
    computed = {id(tensor) for node in nodes for tensor in node.outputs}
    variables = {
        id(tensor): tensor for node in nodes for tensor in reads(node) if is_variable(tensor)
    }
    return [tensor for key, tensor in variables.items() if key not in computed]


def outputs_of(nodes: Nodes, graph: Any) -> list[Any]:
    """The variables that some nodes compute and that other nodes read, or a graph returns."""
    inside = {id(node) for node in nodes}
    returned = {id(tensor) for tensor in _returned(graph)}
    outside = {
        id(tensor) for node in all_nodes(graph) if id(node) not in inside for tensor in node.inputs
    }
    return [
        tensor
        for node in nodes
        for tensor in node.outputs
        if tensor.name and id(tensor) in returned | outside
    ]


def all_nodes(graph: Any) -> Iterator[Any]:
    """The nodes of a main graph, those of its subgraphs and functions too."""
    for outer in (graph, *graph.functions):
        yield from _with_inner(outer.nodes)


def _with_inner(nodes: Iterable[Any]) -> Iterator[Any]:
    for node in nodes:
        yield node
        for subgraph in subgraphs_of(node):
            yield from _with_inner(subgraph.nodes)


def _returned(graph: Any) -> Iterator[Any]:
    yield from graph.outputs
    for node in graph.nodes:
        for subgraph in subgraphs_of(node):
            yield from _returned(subgraph)


def replace_nodes(
    graph: Any,
    nodes: Nodes,
    *,
    op: str,
    name: str,
    domain: str | None,
    attrs: Mapping[str, object],
) -> Any:
    """Replace some nodes of a main graph by one, which stands where it can run.

    Args:
        graph: The graph.
        nodes: The nodes.
        op: Operator of the new node.
        name: Its name.
        domain: Its operator domain; None for that of ONNX.
        attrs: Its attributes.

    Raises:
        GapError: Other nodes lie between them: these read results of the group and compute what it
            reads.
    """
    inside = {id(node) for node in nodes}
    before, after = _before_and_after(graph.nodes, inside)
    inputs, outputs = inputs_of(nodes), outputs_of(nodes, graph)
    for node in nodes:
        node.inputs.clear()
        node.outputs.clear()
    new = new_node(op, name, attrs=attrs, inputs=inputs, outputs=outputs, domain=domain)
    graph.nodes[:] = [*before, new, *after]
    return new


def _before_and_after(all_nodes: Iterable[Any], inside: set[int]) -> tuple[list[Any], list[Any]]:
    """The other nodes: first those that need no result of the group, then those that do."""
    before: list[Any] = []
    after: list[Any] = []
    dependent: dict[int, Any] = {}
    gaps: dict[int, Any] = {}
    computed: set[int] = set()
    for node in all_nodes:
        read = {id(tensor) for tensor in reads(node)}
        if id(node) in inside:
            computed |= {id(tensor) for tensor in node.outputs}
            gaps |= {id(dependent[t]): dependent[t] for t in read if t in dependent}
        elif read & computed or read & dependent.keys():
            after.append(node)
            dependent |= {id(tensor): node for tensor in node.outputs}
        else:
            before.append(node)
    if gaps:
        raise GapError(list(gaps.values()))
    return before, after
