"""Attributes in a form that is equal for equal computations, also those that hold subgraphs.

Names inside a subgraph do not matter: what the subgraph defines is identified by its position
there, and what it captures from around its node by the order of capture.
"""

from typing import Any

import onnx

from modelexport.hierarchy.graph_paths import has_subgraphs
from modelexport.hierarchy.keys import TAG_ATTRIBUTE
from modelexport.rewriter.graph.subgraph_names import captured_names

AttributeKey = tuple[str, Any]
"""Name of an attribute, and its comparable value."""

_Numbers = dict[str, int]
"""Number of each name."""


def attribute_keys(node: onnx.NodeProto) -> tuple[AttributeKey, ...]:
    """The attributes of a node, without our tag attribute, sorted by name."""
    if not node.attribute:
        return ()
    captured = captured_names(node) if has_subgraphs(node) else ()
    return _keys_around(node, {name: number for number, name in enumerate(captured)})


def _keys_around(node: onnx.NodeProto, captured: _Numbers) -> tuple[AttributeKey, ...]:
    """The attributes of a node, with names that its subgraphs capture as numbers."""
    result: list[AttributeKey] = []
    for attribute in node.attribute:
        if attribute.HasField("g"):
            result.append((attribute.name, _subgraph_key(attribute.g, captured)))
        elif attribute.graphs:
            result.append(
                (attribute.name, tuple(_subgraph_key(g, captured) for g in attribute.graphs))
            )
        elif attribute.name != TAG_ATTRIBUTE:
            result.append((attribute.name, attribute.SerializeToString(deterministic=True)))
    return tuple(sorted(result))


def _subgraph_key(subgraph: onnx.GraphProto, captured: _Numbers) -> tuple[Any, ...]:
    names = [*(v.name for v in subgraph.input), *(w.name for w in subgraph.initializer)]
    names += [w.values.name for w in subgraph.sparse_initializer]
    names += [name for node in subgraph.node for name in node.output if name]
    defined = {name: number for number, name in enumerate(names)}
    return (
        len(subgraph.input),
        tuple(_without_name(weight) for weight in subgraph.initializer),
        tuple(w.SerializeToString(deterministic=True) for w in subgraph.sparse_initializer),
        tuple(
            (
                *(node.domain, node.op_type, node.overload),
                _inner_keys(node, defined, captured),
                tuple(_name_key(name, defined, captured) for name in node.input),
                tuple(bool(name) for name in node.output),
            )
            for node in subgraph.node
        ),
        tuple(_name_key(value.name, defined, captured) for value in subgraph.output),
    )


def _inner_keys(
    node: onnx.NodeProto, defined: _Numbers, captured: _Numbers
) -> tuple[AttributeKey, ...]:
    """The attributes of a node in a subgraph. Its own subgraphs capture names of both graphs."""
    if not has_subgraphs(node):
        return attribute_keys(node)
    around = dict(captured)
    around.update({name: len(captured) + number for name, number in defined.items()})
    return _keys_around(node, around)


def _name_key(name: str, defined: _Numbers, captured: _Numbers) -> Any:
    if not name:
        return None
    if name in defined:
        return ("own", defined[name])
    return ("outer", captured.get(name, name))


def _without_name(weight: onnx.TensorProto) -> bytes:
    plain = onnx.TensorProto()
    plain.CopyFrom(weight)
    plain.ClearField("name")
    serialised: bytes = plain.SerializeToString(deterministic=True)
    return serialised
