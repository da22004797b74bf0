"""The nodes of two equal blocks of layers in an exported graph, and how they are paired."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx

from modelexport.hierarchy.graph_paths import MAIN, NodeKey, has_subgraphs
from modelexport.tracer.exporters.exported import Scope
from modelexport.tracer.stamping.graph_ends import GraphEnds


class StampingError(Exception):
    """Equal layers cannot be stamped out; the model is exported whole. No user meets it."""


@dataclass(frozen=True)
class LayerPair:
    """Two equal blocks of layers, of which the second reads what the first computes.

    Attributes:
        first: Positions of the nodes of the first.
        second: Positions of the nodes of the second, in the same order.
        values: For each value that the first computes, the one that the second computes.
        links: For each value that the first reads of the block before, the one that the second
            reads of the first.
        weights: For each initializer that only the first reads, the one that the second reads.
        shared: The initializers that both read.
        ends: The inputs and outputs of the graph that belong to them.
    """

    first: Sequence[int]
    second: Sequence[int]
    values: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)
    shared: set[str] = field(default_factory=set)
    ends: GraphEnds = field(default_factory=GraphEnds)


def pair_layers(
    graph: onnx.GraphProto,
    scopes: Mapping[NodeKey, Scope],
    first: Sequence[str],
    second: Sequence[str],
    ends: GraphEnds,
) -> LayerPair:
    """Pair the nodes of two blocks of layers.

    Args:
        graph: The main graph.
        scopes: The module of each node.
        first: Paths of the layers of a block.
        second: Paths of the layers of an equal one, which reads what the first computes.
        ends: The inputs and outputs of the graph that belong to them.

    Raises:
        StampingError: Their nodes are not the same.
    """
    members = _members(graph, scopes, first), _members(graph, scopes, second)
    pair = LayerPair(*members, ends=ends)
    if not pair.first or len(pair.first) != len(pair.second):
        raise StampingError(
            f"{first[0]} has {len(pair.first)} nodes in the graph, and {second[0]} has "
            f"{len(pair.second)}"
        )
    initializers = {tensor.name for tensor in graph.initializer}
    computed = {name for position in pair.first for name in graph.node[position].output}
    for a, b in zip(pair.first, pair.second, strict=True):
        _pair_nodes(graph.node[a], graph.node[b], pair, computed, initializers)
    _check_readers(graph, pair)
    return pair


def _members(
    graph: onnx.GraphProto, scopes: Mapping[NodeKey, Scope], paths: Sequence[str]
) -> list[int]:
    """Positions of the nodes of some modules.

    A node without a scope is theirs where only their nodes read it.
    """
    prefixes = tuple(f"{path}." for path in paths)
    outside = {value.name for value in graph.output}
    inside: set[str] = set()
    members = []
    for position in reversed(range(len(graph.node))):
        node = graph.node[position]
        scope = scopes.get(NodeKey(MAIN, position))
        if scope is None:
            is_member = inside.issuperset(node.output) and outside.isdisjoint(node.output)
        else:
            is_member = f"{scope.module}.".startswith(prefixes)
        if is_member:
            members.append(position)
        (inside if is_member else outside).update(node.input)
    return members[::-1]


def _pair_nodes(
    a: onnx.NodeProto,
    b: onnx.NodeProto,
    pair: LayerPair,
    computed: set[str],
    initializers: set[str],
) -> None:
    """Pair two nodes.

    Args:
        a: A node of the first layer.
        b: The node of the second.
        pair: Gets what the pair says of values, links and weights.
        computed: What the first layer computes.
        initializers: The names of all initializers.

    Raises:
        StampingError: They are not the same.
    """
    if has_subgraphs(a) or has_subgraphs(b):
        raise StampingError(f"{a.name} has branches or a loop")
    shapes = [
        (n.op_type, n.domain, n.overload, len(n.input), [bool(o) for o in n.output]) for n in (a, b)
    ]
    if shapes[0] != shapes[1] or _attributes(a) != _attributes(b):
        raise StampingError(f"{a.name} and {b.name} differ")
    for v, w in zip(a.input, b.input, strict=True):
        if v in pair.values:
            is_pair = pair.values[v] == w
        elif v in pair.ends.inputs:
            is_pair = pair.ends.inputs[v] == w
        elif w in computed:
            is_pair = pair.links.setdefault(v, w) == w
        elif v == w:
            is_pair = True
            if v in initializers:
                pair.shared.add(v)
        else:
            are_weights = v in initializers and w in initializers
            is_pair = are_weights and pair.weights.setdefault(v, w) == w
        if not is_pair:
            raise StampingError(f"{a.name} reads {v}, but {b.name} reads {w}")
    pair.values.update((v, w) for v, w in zip(a.output, b.output, strict=True) if v)


def _attributes(node: onnx.NodeProto) -> list[bytes]:
    return sorted(attribute.SerializeToString(deterministic=True) for attribute in node.attribute)


def _check_readers(graph: onnx.GraphProto, pair: LayerPair) -> None:
    """Check that nothing but the second layer reads what the first computes.

    Outputs of the graph that belong to the layers may be among it.

    Raises:
        StampingError: Something else reads it, or the second layer reads nothing of it.
    """
    if not pair.links:
        raise StampingError("a layer reads nothing of the one before")
    layers = {*pair.first, *pair.second}
    read = {name for p, node in enumerate(graph.node) if p not in layers for name in node.input}
    own = {v for v, w in pair.ends.outputs.items() if pair.values.get(v) == w}
    if missing := pair.ends.outputs.keys() - own:
        raise StampingError(f"the nodes of a layer do not compute its output {min(missing)}")
    read.update(value.name for value in graph.output if value.name not in own)
    if both := read & pair.values.keys():
        raise StampingError(f"what is outside of the layers reads {min(both)}")
