"""Nodes that a related model has and the recorded one has not, and what follows from them."""

from collections.abc import Collection, Mapping

from modelexport.rewriter.graph.graph_view import GraphView
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.divergence import find_diverged, find_new_nodes
from tests.helpers.handmade import parse

CHAIN = """g (float[8,16] x) => (float[8,16] y, float[8,16] z) {
    [before] a = Abs (x)
    [changed] b = Neg (a)
    [shape] h = Shape (b)
    [behind] c = Exp (b)
    [beside] z = Ceil (a)
    [last] y = Floor (c)
}"""

ADAPTER = """g (float[8,16] x, float[16,16] base, float[16,4] down, float[4,16] up, float[1] scale)
    => (float[8,16] y) {
    [base] a = MatMul (x, base)
    [turned] t = Transpose (down)
    [inner] b = MatMul (x, t)
    [scaled] c = Mul (b, scale)
    [outer] d = MatMul (c, up)
    [both] e = Add (a, d)
    [head] y = MatMul (e, base)
}"""


def names_of(graph: ModelGraph, nodes: Collection[int]) -> set[str]:
    return {graph.nodes[node].name for node in nodes}


def diverged(recorded: Mapping[str, bool]) -> set[str]:
    """The nodes of the chain that have diverged, where it is known whether some were recorded."""
    graph = ModelGraph(parse(CHAIN))
    flags = {node: recorded.get(proto.name) for node, proto in enumerate(graph.nodes)}
    return names_of(graph, find_diverged(graph.indexed, flags.__getitem__))


def test_what_was_not_recorded_diverges_with_all_that_reads_it() -> None:
    """Shapes do not, since they are the same; nor what only stands beside."""
    assert diverged({"changed": False}) == {"changed", "behind", "last"}
    assert diverged({"before": True, "changed": False}) == {"changed", "behind", "last"}
    assert diverged({"behind": False}) == {"behind", "last"}
    assert diverged({"beside": False}) == {"beside"}


def test_nothing_diverges_that_something_recorded_follows_from() -> None:
    """However far behind it that is: a tool may have computed it in another way."""
    assert diverged({"changed": False, "behind": True}) == set()
    assert diverged({"changed": False, "last": True}) == set()
    assert diverged({"changed": False, "behind": True, "last": False}) == {"last"}
    assert diverged({"before": False, "changed": False, "beside": True}) == {
        "changed", "behind", "last"
    }  # fmt: skip


def test_what_is_not_known_does_not_diverge() -> None:
    """Nor does what was recorded."""
    assert diverged({}) == set()
    assert diverged(dict.fromkeys(("before", "changed", "behind"), True)) == set()


def new_nodes(
    *new: str, known: tuple[str, ...] = ("base",), recorded: tuple[str, ...] = ()
) -> set[str]:
    """The new nodes of the adapter, by the names of weights and of recorded nodes."""
    model = parse(ADAPTER)
    values = {value.name: value for value in model.graph.input}
    for name in ("base", "down", "up", "scale"):
        dims = [d.dim_value for d in values[name].type.tensor_type.shape.dim]
        model.graph.initializer.add(name=name, data_type=1, dims=dims)
        model.graph.input.remove(values[name])
    graph = ModelGraph(model)

    def numbers(names: tuple[str, ...]) -> set[int]:
        return {graph.indexed.value_of("", name) for name in names}

    actual = find_new_nodes(
        GraphView(graph.indexed),
        numbers(new),
        numbers(known),
        lambda node: graph.nodes[node].name in recorded,
    )
    return names_of(graph, actual)


def test_a_node_that_reads_a_new_weight_is_new() -> None:
    """Also where constants are computed from the weight first; these nodes are no work."""
    assert new_nodes("up") == {"outer"}
    assert new_nodes("down") == {"inner", "scaled", "outer"}
    assert new_nodes("down", "up") == {"inner", "scaled", "outer"}


def test_without_new_weights_nothing_is_new() -> None:
    """Whatever was recorded."""
    assert new_nodes() == set()
    assert new_nodes(known=()) == set()


def test_what_also_reads_something_else_is_not_new() -> None:
    """The sum of both ways reads the base, too; only values count that are computed from inputs."""
    assert "both" not in new_nodes("down", "up", known=())
    assert "scaled" in new_nodes("down", known=())


def test_a_node_that_reads_a_known_weight_is_not_new() -> None:
    """Nor is what follows from it, unless it reads a new weight itself."""
    assert new_nodes("down", known=("scale",)) == {"inner"}
    assert new_nodes("down", "up", known=("scale",)) == {"inner", "outer"}
    assert new_nodes("base", known=("base",)) == set()


def test_a_recorded_node_is_not_new() -> None:
    """Nor is what only reads its result."""
    assert new_nodes("down", recorded=("inner",)) == set()
    assert new_nodes("down", "up", recorded=("inner",)) == {"outer"}
    assert new_nodes("down", recorded=("scaled",)) == {"inner"}
