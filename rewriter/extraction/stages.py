"""Dividing a main graph into stages that run in order."""

from collections.abc import Mapping, Sequence

from modelexport.errors import NoSuchModuleError, UsageError
from modelexport.hierarchy.graph_paths import MAIN
from modelexport.hierarchy.module_tree import ancestors
from modelexport.rewriter.annotation.placed_file import PlacedFile
from modelexport.rewriter.extraction.graph_parts import MainGraph
from modelexport.rewriter.selection.module_calls import (
    named_calls,
    notes_about_empty,
)
from modelexport.support.error_texts import listed

_LISTED_MODULES = 5
"""The most modules that no stage names which a note lists."""

_WINDOW = 0.25
"""Maximum distance of a cut from the place of equal costs, as a share (0-1) of the cost of a part.
Within it, the cut goes where the fewest values cross it."""


def named_stages(
    file: PlacedFile, graph: MainGraph, stages: Sequence[Sequence[str]]
) -> tuple[list[list[int]], list[str]]:
    """The nodes of each stage, and notes about modules without nodes, and about forgotten modules.

    A node of two stages goes into the first; a node of a module that no stage names goes into the
    first where it can run. A module inside a branch or a loop takes the node that holds it into its
    stage, unless a stage names the module of that node. A fused node of several modules, of which
    no stage names the one around them all, goes into the first stage that names one of them, if it
    can run there.

    Args:
        file: The file.
        graph: Its main graph.
        stages: Patterns of the modules of each stage.

    Raises:
        UsageError: There is no such module, or a stage needs what a later one computes.
    """
    own: dict[int, int] = {}
    around: dict[int, int] = {}
    fused: dict[int, int] = {}
    notes: list[str] = []
    named: set[str] = set()
    for number, patterns in enumerate(stages):
        calls, nodes_of = named_calls(file, patterns)
        named |= {call.path for call in calls}
        _, with_fused = named_calls(file, patterns, partly=True)
        for node in set().union(*with_fused.values()):
            path, position = file.graph.keys[node]
            if path == MAIN:
                fused.setdefault(position, number)
        notes += notes_about_empty(with_fused)
        for node in set().union(*nodes_of.values()):
            path, position = file.graph.keys[node]
            if path == MAIN:
                own.setdefault(position, number)
            for holder in graph.holders(path):
                around.setdefault(holder, number)
    own = around | own
    stage_of: dict[int, int] = {}
    for position in graph.work:
        before = [stage_of.get(p, 0) for p in graph.before(position)]
        needed = max(before, default=0)
        stage_of[position] = own.get(position, max(needed, fused.get(position, 0)))
        if stage_of[position] < needed:
            raise UsageError(
                f"{file.path}: stage {own[position]} cannot run before stage {needed}: its node "
                f"{graph.describe(position)} reads a value that the later stage computes."
            )
    others = {p: stage for p, stage in stage_of.items() if p not in own and p not in fused}
    return _grouped(stage_of, len(stages), file), notes + _about_unnamed(file, others, named)


def _about_unnamed(file: PlacedFile, others: Mapping[int, int], named: set[str]) -> list[str]:
    """Notes about the modules that no stage names; those around named ones are no surprise.

    Args:
        file: The file.
        others: The stage of each node that no stage names.
        named: Paths of the modules that the stages name.
    """
    around = {path for module in named for path in ancestors(module)}
    unnamed: dict[int, dict[str, None]] = {}
    for position, stage in others.items():
        module = file.modules[position]
        outermost = [path for path in ancestors(module or "") if path not in around][-1:]
        unnamed.setdefault(stage, {}).update(dict.fromkeys(map(file.tagger.tag, outermost)))
    return [
        f"no stage names {listed(list(tags), _LISTED_MODULES)}: part_{stage}.onnx has their nodes"
        for stage, tags in sorted(unnamed.items())
        if tags
    ]


def balanced_stages(
    file: PlacedFile, graph: MainGraph, parts: int, costs: Sequence[float]
) -> list[list[int]]:
    """The nodes of each stage, for stages of about equal cost.

    Args:
        file: The file.
        graph: Its main graph.
        parts: How many stages.
        costs: The cost of each working node.

    Raises:
        UsageError: There are fewer nodes than stages.
    """
    total, crossing = sum(costs), _crossing_values(graph)
    reached = [0.0]
    for cost in costs:
        reached.append(reached[-1] + cost)
    cuts = [0]
    for number in range(1, parts):
        done, latest = reached[cuts[-1]], len(costs) - (parts - number)
        share = (total - done) / (parts - number + 1)  # one costly node leaves less for the others
        target = done + share
        candidates = range(cuts[-1] + 1, latest + 1)
        if not candidates:
            raise UsageError(f"{file.path}: {len(costs)} nodes cannot be {parts} parts.")
        near = [c for c in candidates if abs(reached[c] - target) <= _WINDOW * share]
        nearest = min(candidates, key=lambda c: abs(reached[c] - target))
        cuts.append(min([*near, nearest], key=lambda c: (crossing[c], abs(reached[c] - target))))
    bounds = [*cuts, len(costs)]
    stage_of = {
        position: stage
        for stage in range(parts)
        for position in graph.work[bounds[stage] : bounds[stage + 1]]
    }
    return _grouped(stage_of, parts, file)


def _grouped(stage_of: dict[int, int], count: int, file: PlacedFile) -> list[list[int]]:
    stages: list[list[int]] = [[] for _ in range(count)]
    for position, stage in stage_of.items():
        stages[stage].append(position)
    for number, nodes in enumerate(stages):
        if not nodes:
            raise NoSuchModuleError(f"{file.path}: stage {number} has no nodes.")
    return stages


def _crossing_values(graph: MainGraph) -> list[int]:
    """How many values cross each place between two working nodes."""
    places = {position: number for number, position in enumerate(graph.work)}
    change = [0] * (len(graph.work) + 2)
    for position, number in places.items():
        for name in filter(None, graph.nodes[position].output):
            readers = [places[c] for c in graph.consumers.get(name, ()) if c in places]
            if readers:
                change[number + 1] += 1
                change[max(readers) + 1] -= 1
    crossing = [0]
    for step in change[1:-1]:
        crossing.append(crossing[-1] + step)
    return crossing
