"""Which calls can share a function: those with the same structure.

The structure of a call is what it computes, without names, shapes and weights: its nodes in an
order that its outputs determine, with their operators and attributes, the source of each input,
and the values that the call gives back.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import onnx

from modelexport.rewriter.folding.attribute_keys import AttributeKey, attribute_keys
from modelexport.rewriter.folding.fold_graph import FoldGraph, FoldNode


class SlotKind(Enum):
    """What the source of an input outside the call is."""

    WEIGHT = "weight"
    VALUE = "value"
    CONSTANT = "constant"


@dataclass(frozen=True)
class Slot:
    """One input of one node that comes from outside the call.

    Attributes:
        kind: What it is.
        name: Its name in the graph.
        node: Number of the node in the structure.
        place: Which of the node's inputs.
    """

    kind: SlotKind
    name: str
    node: int
    place: int


class NodeStructure(NamedTuple):
    """What one node computes; equal for equal nodes of two calls.

    Attributes:
        operator: Domain, operator and overload.
        attributes: The attributes.
        sources: Where each input comes from: node and output within the call; the number of
            a value from outside; the kind of a weight or constant; None for an omitted input.
        outputs: Whether each output is present.
    """

    operator: tuple[str, str, str]
    attributes: tuple[AttributeKey, ...]
    sources: tuple[Any, ...]
    outputs: tuple[bool, ...]


class StructureKey(NamedTuple):
    """Equal for calls that can share a function.

    Attributes:
        nodes: The nodes.
        outputs: Node and output of each value that the call gives back.
    """

    nodes: tuple[NodeStructure, ...]
    outputs: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Structure:
    """The structure of one call, with the call's own names for its inputs and outputs.

    Attributes:
        nodes: The nodes in the order of the function.
        slots: One for each use of something from outside.
        outputs: Values that others use.
        key: Equal for calls that can share a function.
    """

    nodes: list[FoldNode]
    slots: list[Slot]
    outputs: list[str]
    key: StructureKey


def find_structure(graph: FoldGraph, group: list[FoldNode]) -> Structure:
    """Find the structure of a group of nodes."""
    outputs = _outputs(graph, group)
    nodes = _in_function_order(graph, group, outputs)
    made_by = {
        name: (number, place)
        for number, node in enumerate(nodes)
        for place, name in enumerate(node.proto.output)
        if name
    }
    slots: list[Slot] = []
    value_numbers: dict[str, int] = {}
    node_structures = []
    for number, node in enumerate(nodes):
        sources: list[Any] = []
        for place, name in enumerate(node.inputs):
            if not name:
                sources.append(None)
            elif name in made_by:
                sources.append(made_by[name])
            else:
                kind = _slot_kind(graph, name)
                slots.append(Slot(kind, name, number, place))
                if kind is SlotKind.VALUE:
                    sources.append(value_numbers.setdefault(name, len(value_numbers)))
                else:
                    sources.append(kind.value)
        node_structures.append(_node_structure(node.proto, sources))
    key = StructureKey(tuple(node_structures), tuple(made_by[name] for name in outputs))
    return Structure(nodes, slots, outputs, key)


def difference(structure: Structure, other: Structure, modules: list[str]) -> str:
    """Describe the first difference between two structures of one class.

    Args:
        structure: The structure that is described.
        other: The structure that it is compared with.
        modules: Path within the class of the module of each node of the first structure.
    """
    left, right = structure.key.nodes, other.key.nodes
    for number, (mine, theirs) in enumerate(zip(left, right, strict=False)):
        if mine == theirs:
            continue
        op_type = mine.operator[1]
        location = f" at {modules[number]}" if modules[number] else ""
        if mine.operator != theirs.operator:
            return f"{op_type}{location} where the other has {theirs.operator[1]}"
        if mine.attributes != theirs.attributes:
            name = _differing_attribute(dict(mine.attributes), dict(theirs.attributes))
            return f"attribute {name} of {op_type}{location}"
        return f"inputs of {op_type}{location}"
    if len(left) != len(right):
        return f"{len(left)} nodes, not {len(right)}"
    return f"{len(structure.outputs)} values are used elsewhere, not {len(other.outputs)}"


def _differing_attribute(mine: dict[str, Any], theirs: dict[str, Any]) -> str:
    return next(name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name))


def _node_structure(node: onnx.NodeProto, sources: list[Any]) -> NodeStructure:
    return NodeStructure(
        (node.domain, node.op_type, node.overload),
        attribute_keys(node),
        tuple(sources),
        tuple(bool(name) for name in node.output),
    )


def _slot_kind(graph: FoldGraph, name: str) -> SlotKind:
    if name in graph.constants:
        return SlotKind.CONSTANT
    is_weight = name in graph.weights and name not in graph.inputs
    return SlotKind.WEIGHT if is_weight else SlotKind.VALUE


def _outputs(graph: FoldGraph, group: list[FoldNode]) -> list[str]:
    """The values of a group that others use, in the order of the graph."""
    inside = set(map(id, group))
    return [
        name
        for node in group
        for name in node.outputs
        if name in graph.outputs
        or any(id(consumer) not in inside for consumer in graph.consumers.get(name, ()))
    ]


def _in_function_order(
    graph: FoldGraph, group: list[FoldNode], outputs: list[str]
) -> list[FoldNode]:
    """Nodes in the order of a depth-first search backwards from the outputs, then the rest."""
    inside = set(map(id, group))
    done: set[int] = set()
    ordered: list[FoldNode] = []
    for start in (*(graph.producer[name] for name in outputs), *group):
        if id(start) in done:
            continue
        done.add(id(start))
        waiting = [(start, graph.producers_of(start))]
        while waiting:
            node, producers = waiting[-1]
            missing = next((p for p in producers if id(p) in inside and id(p) not in done), None)
            if missing is None:
                waiting.pop()
                ordered.append(node)
            else:
                done.add(id(missing))
                waiting.append((missing, graph.producers_of(missing)))
    return ordered
