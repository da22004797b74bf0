"""When two calls are calls of the same function, and what they are given.

The structure of a call is what it computes, written down without names, shapes and weights:
its nodes in an order that its outputs tell, with their operators and attributes, where each
input comes from, and which values it gives back.
"""

from dataclasses import dataclass
from typing import Any

import onnx

from modelexport.hierarchy.graph_paths import subgraphs
from modelexport.hierarchy.keys import TAG_ATTRIBUTE
from modelexport.rewriter.folding.fold_graph import Bench, Item, captured

WEIGHT, VALUE, CONSTANT = "weight", "value", "constant"


@dataclass(frozen=True)
class Slot:
    """One input of one node that comes from outside the call.

    Attributes:
        kind: A weight, a value of the graph, or a constant.
        name: What the graph calls it.
        item, place: Number of the node, and which of its inputs.
    """

    kind: str
    name: str
    item: int
    place: int


@dataclass(frozen=True)
class Structure:
    """One call's structure, and its own names for what comes from outside and goes there.

    Attributes:
        items: The nodes in the order of the function.
        slots: One for each use of something from outside.
        outputs: Values that others use.
        key: Equal for calls of one function.
    """

    items: list[Item]
    slots: list[Slot]
    outputs: list[str]
    key: tuple[Any, ...]


def structure(bench: Bench, group: list[Item]) -> Structure:
    """The structure of a group of nodes."""
    outputs = _outputs(bench, group)
    items = _ordered(bench, group, outputs)
    made = {
        name: (number, place)
        for number, item in enumerate(items)
        for place, name in enumerate(item.node.output)
        if name
    }
    slots: list[Slot] = []
    values: dict[str, int] = {}
    rows = []
    for number, item in enumerate(items):
        sources: list[Any] = []
        for place, name in enumerate(item.inputs):
            if not name:
                sources.append(None)
            elif name in made:
                sources.append(made[name])
            else:
                kind = _kind(bench, name)
                slots.append(Slot(kind, name, number, place))
                sources.append(values.setdefault(name, len(values)) if kind == VALUE else kind)
        node = item.node
        given = tuple(bool(name) for name in node.output)
        kind_of = (node.domain, node.op_type, node.overload)
        rows.append((*kind_of, _attributes(node), tuple(sources), given))
    return Structure(items, slots, outputs, (tuple(rows), tuple(made[name] for name in outputs)))


def difference(one: Structure, other: Structure, relative: list[str]) -> str:
    """What tells two structures of one class apart, in words.

    Args:
        one: The structure that is compared.
        other: What it is compared with.
        relative: Where in the module each node of the first belongs.
    """
    left, right = one.key[0], other.key[0]
    for number, (here, there) in enumerate(zip(left, right, strict=False)):
        if here == there:
            continue
        where = f" at {relative[number]}" if relative[number] else ""
        if here[:3] != there[:3]:
            return f"{here[1]}{where} where the other has {there[1]}"
        if here[3] != there[3]:
            names = dict(here[3]), dict(there[3])
            odd = next(n for n in {**names[0], **names[1]} if names[0].get(n) != names[1].get(n))
            return f"attribute {odd} of {here[1]}{where}"
        return f"inputs of {here[1]}{where}"
    if len(left) != len(right):
        return f"{len(left)} nodes, not {len(right)}"
    return f"{len(one.outputs)} values are used elsewhere, not {len(other.outputs)}"


def _kind(bench: Bench, name: str) -> str:
    if name in bench.constants:
        return CONSTANT
    return WEIGHT if name in bench.weights and name not in bench.inputs else VALUE


def _outputs(bench: Bench, group: list[Item]) -> list[str]:
    inside = set(map(id, group))
    found = []
    for item in group:
        for name in filter(None, item.node.output):
            users = bench.consumers.get(name, ())
            if name in bench.outputs or any(id(user) not in inside for user in users):
                found.append(name)
    return found


def _ordered(bench: Bench, group: list[Item], outputs: list[str]) -> list[Item]:
    """Nodes as a search from the outputs backwards leaves them, then what no output needs."""
    inside = set(map(id, group))
    done: set[int] = set()
    found: list[Item] = []
    for start in (*(bench.producer[name] for name in outputs), *group):
        waiting = [start]
        while waiting:
            item = waiting[-1]
            if id(item) in done:
                waiting.pop()
                continue
            missing = next(
                (m for m in bench.producers(item) if id(m) in inside and id(m) not in done), None
            )
            if missing is not None:
                waiting.append(missing)
                continue
            done.add(id(waiting.pop()))
            found.append(item)
    return found


def _attributes(node: onnx.NodeProto) -> tuple[tuple[str, Any], ...]:
    found = []
    graphs = dict(subgraphs(node)) if node.attribute else {}
    outer = {name: number for number, name in enumerate(captured(node))} if graphs else {}
    for attribute in node.attribute:
        if attribute.HasField("g"):
            found.append((attribute.name, _subgraph(attribute.g, outer)))
        elif attribute.graphs:
            found.append((attribute.name, tuple(_subgraph(g, outer) for g in attribute.graphs)))
        elif attribute.name != TAG_ATTRIBUTE:
            found.append((attribute.name, attribute.SerializeToString(deterministic=True)))
    return tuple(sorted(found))


def _subgraph(subgraph: onnx.GraphProto, outer: dict[str, int]) -> tuple[Any, ...]:
    """A subgraph without its names: own values by their position, outer ones by their number."""
    own = [*(v.name for v in subgraph.input), *(w.name for w in subgraph.initializer)]
    own += [w.values.name for w in subgraph.sparse_initializer]
    own += [name for node in subgraph.node for name in node.output if name]
    ours = {name: number for number, name in enumerate(own)}
    return (
        len(subgraph.input),
        tuple(_weight(weight) for weight in subgraph.initializer),
        tuple(w.SerializeToString(deterministic=True) for w in subgraph.sparse_initializer),
        tuple(
            (
                *(node.domain, node.op_type, node.overload),
                _inner_attributes(node, ours, outer),
                tuple(_reference(name, ours, outer) for name in node.input),
                tuple(bool(name) for name in node.output),
            )
            for node in subgraph.node
        ),
        tuple(_reference(value.name, ours, outer) for value in subgraph.output),
    )


def _inner_attributes(
    node: onnx.NodeProto, ours: dict[str, int], outer: dict[str, int]
) -> tuple[Any, ...]:
    """Attributes of a node in a subgraph; its own subgraphs see the names of both graphs."""
    if not any(True for _ in subgraphs(node)):
        return _attributes(node)
    around = dict(outer)
    around.update({name: len(outer) + number for name, number in ours.items()})
    found = []
    for attribute in node.attribute:
        if attribute.HasField("g"):
            found.append((attribute.name, _subgraph(attribute.g, around)))
        elif attribute.name != TAG_ATTRIBUTE:
            found.append((attribute.name, attribute.SerializeToString(deterministic=True)))
    return tuple(sorted(found))


def _reference(name: str, ours: dict[str, int], outer: dict[str, int]) -> Any:
    if not name:
        return None
    return ("own", ours[name]) if name in ours else ("outer", outer.get(name, name))


def _weight(weight: onnx.TensorProto) -> bytes:
    plain = onnx.TensorProto()
    plain.CopyFrom(weight)
    plain.ClearField("name")
    found: bytes = plain.SerializeToString(deterministic=True)
    return found
