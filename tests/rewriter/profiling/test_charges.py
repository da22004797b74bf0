"""To which module a layer of a profile is charged."""

import pytest

from modelexport.hierarchy.module_tree import Module, ModuleTree
from modelexport.rewriter.analysis.costs import Work, WorkByModule, add_works, choose_module
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.profiling.join_layers import charge_layers
from modelexport.rewriter.profiling.profiled_graph import ProfiledGraph, ProfiledNode
from modelexport.rewriter.profiling.recorded_profile import RecordedLayer, executed_predecessors
from tests.helpers.handmade import TWO_LAYERS_MODULES, two_layers

TREE = ModuleTree([Module(path, name) for path, name in TWO_LAYERS_MODULES.items()])
FC, LAYER = "layer.0.fc", "layer.0"


@pytest.mark.parametrize(
    ("works", "module"),
    [
        ({FC: Work(8, 4), "": Work()}, FC),
        ({FC: Work(0, 4), LAYER: Work(8, 0)}, LAYER),
        ({FC: Work(0, 4), LAYER: Work()}, FC),
        ({FC: Work(2, 1), LAYER: Work(2, 1)}, LAYER),
        ({FC: Work(), "": Work()}, FC),
        ({"": Work()}, ""),
    ],
)
def test_the_module_with_the_most_work_is_charged(works: WorkByModule, module: str) -> None:
    """Multiply-accumulates decide, then weights; of equals the ancestor, but never the root."""
    assert choose_module(works, TREE) == module


def test_works_add_up() -> None:
    """The work of two nodes for one module is the sum."""
    assert add_works({FC: Work(1, 2)}, {FC: Work(3, 4), "": Work()}) == {
        FC: Work(4, 6),
        "": Work(),
    }


def _graph(works: dict[str, WorkByModule]) -> ProfiledGraph:
    """The graph of two layers; nodes without an entry have no module."""
    graph = ModelGraph(two_layers())
    nodes = tuple(
        ProfiledNode(node.name, node.op_type, works.get(node.name, {}), "unknown")
        for node in graph.nodes
    )
    return ProfiledGraph(nodes, TREE, graph)


def _layer(name: str, **more: tuple[str, ...]) -> RecordedLayer:
    return RecordedLayer(name, "Any", (1.0,), **more)  # type: ignore[arg-type]


def test_several_nodes_make_one_charge() -> None:
    """The layer has the nodes that it names, and lists every module that it works for."""
    graph = _graph({"proj0": {FC: Work(8, 4)}, "relu0": {LAYER: Work()}})
    (charge,) = charge_layers([_layer("kernel", sources=("proj0", "relu0"))], graph)
    assert (charge.module, charge.covers) == (FC, (LAYER, FC))
    assert [graph.nodes[number].name for number in charge.nodes] == ["proj0", "relu0"]


def test_a_group_of_which_only_the_ends_are_told_has_all_between() -> None:
    """Nodes on the paths from the first to the last are its nodes."""
    graph = _graph({name: {FC: Work()} for name in ("proj0", "bias0", "relu0")})
    (charge,) = charge_layers([_layer("group", ends=("proj0", "relu0"))], graph)
    assert [graph.nodes[number].name for number in charge.nodes] == ["proj0", "bias0", "relu0"]


def test_what_is_not_found_says_so() -> None:
    """A layer without nodes has no module and a reason; so has a node without a module."""
    unknown, outside = charge_layers([_layer("nothing"), _layer("proj0")], _graph({}))
    assert (unknown.module, unknown.nodes) == (None, ())
    assert "no node" in (unknown.reason or "")
    assert (outside.module, outside.reason) == (None, "unknown")


def test_neighbours_speak_for_a_layer_without_nodes() -> None:
    """Where the profile tells what reads what, the module around the nearest ones is charged."""
    graph = _graph({"proj0": {FC: Work()}, "relu0": {LAYER: Work()}})
    layers = [
        _layer("proj0"),
        _layer("added", predecessors=("proj0",)),
        _layer("relu0", predecessors=("added",)),
    ]
    assert charge_layers(layers, graph)[1].module == LAYER


def test_layers_that_were_not_executed_are_passed_through() -> None:
    """What a layer reads through others is what it reads; circles end."""
    reads = {"d": ["c"], "c": ["b", "constant"], "b": ["a"], "constant": ["constant"]}
    assert executed_predecessors(reads, {"a", "d"}) == {"a": (), "d": ("a",)}
