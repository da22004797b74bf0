"""Assignments of nodes to parts, in the form that Olive's SplitModel reads.

SplitModel cuts the name of each node at the dots and slashes, and looks the first steps up: as
many of them as the first assignment has. Nodes that are not assigned and depend on no assigned
node are lost, so every node is assigned. Values that cross parts need a declared type.
"""

import onnx

from modelexport.errors import UsageError
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.extraction.graph_parts import MainGraph
from modelexport.rewriter.extraction.value_types import ValueInfos

ASSIGNMENTS = "split_assignments"
"""On the model: the entry that SplitModel reads."""


def olive_assignments(file: PlacedFile, graph: MainGraph, groups: list[list[int]]) -> str:
    """The part of each node, by the shortest beginnings of names that tell the parts apart.

    Args:
        file: The file.
        graph: Its main graph.
        groups: Positions of the nodes of each part.

    Raises:
        UsageError: Names of nodes are missing, or have characters that Olive cuts them at.
    """
    part_of = _parts_of_nodes(graph, groups)
    steps: dict[tuple[str, ...], int] = {}
    for position, part in part_of.items():
        name = graph.nodes[position].name
        path = tuple(name.replace("/", ".").lstrip(".").split("."))
        if not name or steps.setdefault(path, part) != part or {"=", ";"} & set(name):
            raise UsageError(
                f"{file.path}: Olive knows nodes by their names, and {graph.describe(position)} "
                "has none that it can use: `annotate --inject names` gives every node one."
            )
    for depth in range(1, max(map(len, steps)) + 1):
        assigned: dict[tuple[str, ...], int] = {}
        for path, part in steps.items():
            if assigned.setdefault(path[:depth], part) != part:
                break
        else:
            break
    first = min(assigned, key=lambda path: (-len(path), assigned[path]))
    ordered = [first, *(path for path in assigned if path != first)]
    return ";".join(f"{'.'.join(path)}={assigned[path]}" for path in ordered)


def assigned_model(file: PlacedFile, assignments: str, types: ValueInfos) -> onnx.ModelProto:
    """The file with the assignments, and with the types of the values that cross parts.

    Args:
        file: The file.
        assignments: See `olive_assignments`.
        types: The value infos of these values.
    """
    model = onnx.ModelProto()
    model.CopyFrom(file.model)
    entries = [entry for entry in model.metadata_props if entry.key != ASSIGNMENTS]
    if len(entries) < len(model.metadata_props):
        kept = [onnx.StringStringEntryProto(key=e.key, value=e.value) for e in entries]
        del model.metadata_props[:]
        model.metadata_props.extend(kept)
    model.metadata_props.add(key=ASSIGNMENTS, value=assignments)
    graph = model.graph
    declared = {value.name for value in (*graph.value_info, *graph.input, *graph.output)}
    graph.value_info.extend(types[name] for name in types if name not in declared)
    return model


def _parts_of_nodes(graph: MainGraph, groups: list[list[int]]) -> dict[int, int]:
    """The part of each node; what depends on weights alone goes where it is first read."""
    part_of = {position: part for part, nodes in enumerate(groups) for position in nodes}
    for position in range(len(graph.nodes) - 1, -1, -1):
        if position not in part_of and graph.nodes[position].op_type != "Constant":
            readers = [c for n in graph.nodes[position].output for c in graph.consumers.get(n, ())]
            parts = [part_of[reader] for reader in readers if reader in part_of]
            if parts:
                part_of[position] = min(parts)
    return dict(sorted(part_of.items()))
