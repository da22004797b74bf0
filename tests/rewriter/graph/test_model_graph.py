"""The nodes of a model and how they depend on each other, across subgraphs and functions."""

from onnx import parser

from modelexport.rewriter.graph.model_graph import ModelGraph
from tests.helpers.handmade import HEADER

CALLS = """g (float[2] x) => (float[2] y) <float[2] w = {1,2}> {
    [first] h = Neg (x)
    [call] k = local.outer (h, w)
    [again] y = local.outer (k, w)
}
<domain: "local", opset_import: ["" : 17, "local" : 1]> outer (a, v) => (b) {
    [inside] c = Add (a, v)
    [nested] b = local.inner (c)
}
<domain: "local", opset_import: ["" : 17]> inner (a) => (b) { [last] b = Abs (a) }
"""

LOOP = """g (float[2] x) => (float[2] y) <int64 n = {3}, bool go = {1}, float[2] w = {1,2}> {
    [before] h = Neg (x)
    [loop] r = Loop (n, go, x) <
        body = step (int64 i, bool on, float[2] s) => (bool on, float[2] t) {
            [weigh] u = Mul (s, w)
            [capture] t = Add (u, h)
        }>
    [after] y = Abs (r)
}"""


def read(text: str) -> tuple[ModelGraph, list[str]]:
    graph = ModelGraph(parser.parse_model(HEADER + text))
    return graph, [node.name for node in graph.nodes]


def named(text: str, attribute: str) -> dict[str, list[str]]:
    """Neighbours by name."""
    graph, names = read(text)
    lists = getattr(graph, attribute)
    return {name: [names[n] for n in lists[node]] for node, name in enumerate(names)}


def test_calls_depend_on_what_their_function_returns() -> None:
    """What a function reads comes from its callers, and what it returns goes to them."""
    assert named(CALLS, "predecessors") == {
        "first": [],
        "call": ["first", "nested"],
        "again": ["call", "nested"],
        "inside": ["call", "again", "call", "again"],
        "nested": ["inside", "last"],
        "last": ["nested"],
    }
    assert named(CALLS, "successors")["nested"] == ["call", "again"]


def test_a_loop_stands_between_its_subgraph_and_the_outside() -> None:
    """A body's input comes from the loop; a captured value comes from its producer directly."""
    predecessors = named(LOOP, "predecessors")
    assert predecessors["weigh"] == ["loop"]
    assert predecessors["capture"] == ["weigh", "before"]
    assert predecessors["loop"] == ["capture"]
    assert named(LOOP, "successors")["before"] == ["capture"]


def test_an_input_that_only_a_branch_reads_has_no_predecessor() -> None:
    """It is the model's, so the node with the branch does not stand before it."""
    text = """g (float[2] x, bool c) => (float[2] y) {
        [if] y = If (c) <then_branch = yes () => (float[2] a) { [yes] a = Neg (x) },
                         else_branch = no () => (float[2] b) { [no] b = Abs (x) }>
    }"""
    assert named(text, "predecessors") == {"if": ["yes", "no"], "yes": [], "no": []}


def test_a_value_read_twice_counts_twice() -> None:
    """Votes of neighbours are counted for each time that a value is read."""
    text = "g (float[2] x) => (float[2] y) { [one] h = Neg (x) [two] y = Add (h, h) }"
    assert named(text, "predecessors")["two"] == ["one", "one"]
    assert named(text, "successors")["one"] == ["two", "two"]


def test_every_node_comes_after_the_nodes_that_read_it() -> None:
    """Callers come before functions, and a node before its subgraphs."""
    for text, expected in (
        (CALLS, ["again", "call", "first", "nested", "inside", "last"]),
        (LOOP, ["after", "loop", "capture", "weigh", "before"]),
    ):
        graph, names = read(text)
        assert [names[node] for node in graph.consumers_first()] == expected


def test_nodes_that_only_move_values_are_auxiliary() -> None:
    """So are constants and shape arithmetic; the same operator of another domain is not."""
    graph, names = read("""g (float[2,3] x) => (float[m,n] y) {
        [constant] k = Constant <value = float {1.0}> ()
        [shape] s = Shape (x)
        [cast] t = Cast <to = 7> (s)
        [compute] h = Add (x, k)
        [move] m = Transpose (h)
        [named] o = ai.onnx.Transpose (m)
        [other] p = other.Transpose (o)
        [reshape] y = Reshape (p, t)
    }""")
    auxiliary = {name for node, name in enumerate(names) if graph.is_auxiliary(node)}
    assert auxiliary == {"constant", "shape", "cast", "move", "named", "reshape"}


def test_a_call_on_constants_alone_is_not_auxiliary() -> None:
    """A function is the work of a module, and so is what depends on its result."""
    graph, names = read("""g (float[2] x) => (float[2] y) <float[2] w = {1,2}> {
        [call] k = local.twice (w)
        [next] h = Neg (k)
        [sum] y = Add (x, h)
    }
    <domain: "local", opset_import: ["" : 17]> twice (a) => (b) { [double] b = Add (a, a) }
    """)
    assert graph.indexed.derived[: names.index("sum")] == [True, True]
    assert not any(graph.derived)
