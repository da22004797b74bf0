"""Nodes without a module of their own: constants, casts, shape arithmetic, lost scopes."""

import onnx
from onnx import parser

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.hierarchy.module_tree import Module, ModuleTree
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.claims import Claim
from modelexport.rewriter.matching.evidence.propagation import propagate
from modelexport.rewriter.matching.matcher import match_record
from tests.helpers.handmade import HEADER, parse, record_of

MODULES = {
    "": "Net",
    "stack": "ModuleList",
    "stack.0": "Block",
    "stack.0.left": "Act",
    "stack.0.right": "Act",
    "stack.1": "Block",
    "stack.1.left": "Act",
}


def settle(text: str, known: dict[str, str], *, anywhere: bool = False) -> dict[str, str | None]:
    """Module by node name, after propagating from the nodes that are known by name."""
    model = parser.parse_model(HEADER + text)
    graph = ModelGraph(model)
    tree = ModuleTree(Module(p, c, calls=int(c != "ModuleList")) for p, c in MODULES.items())
    names = {key: node.name for key, node in zip(graph.keys, graph.nodes, strict=True)}
    given = {key: known[name] for key, name in names.items() if name in known}
    known = graph.keys if anywhere else ()
    claims = propagate(graph, tree, known, given).by_node
    actual = given | {key: claim.module for key, claim in claims.items()}
    return {name: actual.get(key) for key, name in names.items()}


def reasons(text: str, known: dict[str, str], free: set[str] = frozenset()) -> dict[str, str]:
    """Why nodes stay open, by their names; those in `free` are known to be of the model."""
    graph = ModelGraph(parser.parse_model(HEADER + text))
    tree = ModuleTree(Module(path, "Part", calls=1) for path in MODULES)
    names = {key: node.name for key, node in zip(graph.keys, graph.nodes, strict=True)}
    modules = {key: known[name] for key, name in names.items() if name in known}
    known_nodes = {key for key, name in names.items() if name in free}
    claims = propagate(graph, tree, known_nodes, modules)
    assert claims.reasons.keys() | claims.by_node.keys() | modules.keys() == names.keys()
    return {names[key]: reason for key, reason in claims.reasons.items()}


CHAIN = """g (float[2] x) => (float[2] y) {
    [a] a = Relu (x) [n] n = Sigmoid (a) [c] c = Identity (n) [b] y = Relu (c) }"""


def test_an_open_node_says_why() -> None:
    """It computes between modules, or a node that uses it does."""
    actual = reasons(CHAIN, {"a": "stack.0.left"})
    computes = "it computes, and its neighbours are of several modules or unresolved"
    assert actual == {"n": computes, "c": "a node that uses it is unresolved", "b": computes}


def test_a_node_without_neighbours_says_so() -> None:
    """And one whose neighbours have no module either."""
    text = """g (float[2] x) => (float[2] y) {
        [dead] d = Constant <value = float {1.0}> ()
        [one] o = Identity (x) [two] t = Identity (o) [a] y = Relu (x) }"""
    assert reasons(text, {"a": "stack.0.left"}) == {
        "dead": "no other node uses it or feeds it",
        "one": "no neighbour has a module",
        "two": "no neighbour has a module",
    }


def test_a_node_of_the_record_is_no_obstacle() -> None:
    """A node that reads it and is known to be of the model does not keep it open."""
    assert reasons(CHAIN, {"a": "stack.0.left"}, {"n", "b"}) == {}


def test_nothing_follows_from_nothing() -> None:
    """Without a settled node, or with all settled, there is nothing to say."""
    graph = ModelGraph(parser.parse_model(HEADER + CHAIN))
    tree = ModuleTree([Module("", "Net")])
    for modules in ({}, dict.fromkeys(graph.keys, "")):
        claims = propagate(graph, tree, (), modules)
        assert (claims.by_node, claims.reasons) == ({}, {})


def test_makers_settle_a_chain_from_its_beginning() -> None:
    """Of several identities at the end each follows the one before it."""
    text = """g (float[2] x) => (float[2] y) {
        [a] a = Relu (x)
        [one] b = Identity (a) [two] c = Identity (b) [three] y = Identity (c) }"""
    actual = settle(text, {"a": "stack.0.left"})
    assert actual == dict.fromkeys(["a", "one", "two", "three"], "stack.0.left")


def test_makers_do_not_settle_what_an_open_node_uses() -> None:
    """A cast before a computation that is open may belong to either."""
    text = """g (float[2] x) => (float[2] y) {
        [a] a = Relu (x) [cast] c = Identity (a) [n] y = Sigmoid (c) }"""
    assert settle(text, {"a": "stack.0.left"})["cast"] is None


def test_surroundings_need_neighbours_on_both_sides() -> None:
    """A computing node at the end of the model may be of another module."""
    text = "g (float[2] x) => (float[2] y) { [a] a = Relu (x) [n] y = Sigmoid (a) }"
    assert settle(text, {"a": "stack.0.left"})["n"] is None
    first = "g (float[2] x) => (float[2] y) { [n] n = Sigmoid (x) [a] y = Relu (n) }"
    assert settle(first, {"a": "stack.0.left"})["n"] is None


def test_open_surroundings_settle_nothing() -> None:
    """Computing nodes in a row, all of them open, have no module in common."""
    text = """g (float[2] x) => (float[2] y) {
        [n] n = Sigmoid (x) [m] m = Sigmoid (n) [o] y = Sigmoid (m) [a] z = Relu (x) }"""
    actual = settle(text, {"a": "stack.0.left"})
    assert (actual["n"], actual["m"], actual["o"]) == (None, None, None)


def test_a_constant_belongs_to_its_users() -> None:
    """One user: its module; several: their lowest common ancestor that can run ops."""
    actual = settle(
        """g (float[2] x) => (float[2] y) {
        [c] c = Constant <value = float {1.0}> ()
        [d] d = Constant <value = float {2.0}> ()
        [e] e = Constant <value = float {3.0}> ()
        [a] a = Add (x, c)
        [b] b = Add (a, d)
        [f] f = Mul (b, d)
        [h] h = Mul (f, e)
        [i] y = Mul (h, e)
        }""",
        {
            "a": "stack.0.left",
            "b": "stack.0.left",
            "f": "stack.0.right",
            "h": "stack.0",
            "i": "stack.1",
        },
    )
    assert (actual["c"], actual["d"], actual["e"]) == ("stack.0.left", "stack.0", "")


def test_shape_arithmetic_follows_to_a_fixpoint() -> None:
    """A chain of shape arithmetic ends up where its last link is used."""
    actual = settle(
        """g (float[2,3] x) => (float[m,n] y) {
        [shape] s = Shape (x)
        [zero] z = Constant <value_int = 0> ()
        [dim] d = Gather (s, z)
        [axes] ax = Constant <value_ints = [0]> ()
        [un] u = Unsqueeze (d, ax)
        [minus] m = Constant <value_ints = [-1]> ()
        [cat] c = Concat <axis = 0> (u, m)
        [use] y = Reshape (x, c)
        }""",
        {"use": "stack.1.left"},
    )
    assert set(actual.values()) == {"stack.1.left"}


def test_a_last_identity_belongs_to_its_producer() -> None:
    """Who has no users with a module is asked for its makers."""
    actual = settle(
        "g (float[2] x) => (float[2] y) { [a] a = Relu (x) [i] y = Identity (a) }",
        {"a": "stack.0.left"},
    )
    assert actual["i"] == "stack.0.left"


def test_a_computing_node_is_left_open_between_modules() -> None:
    """A new node that computes is not given to its users; the reason says so."""
    text = """g (float[2] x) => (float[2] y) {
        [a] a = Relu (x) [new] n = Sigmoid (a) [b] y = Relu (n) }"""
    assert settle(text, {"a": "stack.0.left", "b": "stack.0.right"})["new"] is None


def test_a_computing_node_within_one_module_belongs_to_it() -> None:
    """A new node whose neighbours are all of one module is of that module."""
    text = """g (float[2] x) => (float[2] y) {
        [a] a = Relu (x) [new] n = Sigmoid (a) [b] y = Relu (n) }"""
    assert settle(text, {"a": "stack.0.left", "b": "stack.0.left"})["new"] == "stack.0.left"


def test_a_node_of_the_record_follows_its_users_whatever_it_computes() -> None:
    """A node that is known to be the model's follows its users."""
    text = """g (float[2] x) => (float[2] y) {
        [a] a = Relu (x) [lost] n = Sigmoid (a) [b] y = Relu (n) }"""
    known = {"a": "stack.0.left", "b": "stack.0.right"}
    assert settle(text, known, anywhere=True)["lost"] == "stack.0.right"


def test_nothing_is_given_to_the_root_to_fill_up() -> None:
    """A node that nobody uses and nothing feeds stays open."""
    text = """g (float[2] x) => (float[2] y) {
        [dead] d = Constant <value = float {1.0}> () [a] y = Relu (x) }"""
    assert settle(text, {"a": "stack.0.left"})["dead"] is None


def test_users_that_are_open_keep_a_constant_open() -> None:
    """A constant of an unresolved computation is not given to its other user alone."""
    text = """g (float[2] x) => (float[2] y) {
        [c] c = Constant <value = float {1.0}> ()
        [a] a = Add (x, c) [open] o = Mul (a, c) [b] y = Relu (o) }"""
    known = {"a": "stack.0.left", "b": "stack.1.left"}
    assert settle(text, known)["c"] is None


IF = """g (float[2] x, bool flag) => (float[2] y) {
    [shared] c = Constant <value = float {1.0}> ()
    [if] y = If (flag) <
        then_branch = t () => (float[2] ty) { [inner] ty = Add (x, c) },
        else_branch = e () => (float[2] ey) {
            [two] k = Constant <value = float {2.0}> () [other] m = Mul (x, k)
            [out] ey = Identity (m) }
    >
}"""


def test_subgraphs_depend_on_the_graph_around_them() -> None:
    """A captured constant belongs to the subgraph that uses it; a result to the If around it."""
    known = {"if": "stack.0", "inner": "stack.0.left", "other": "stack.0.right"}
    actual = settle(IF, known)
    assert actual["shared"] == "stack.0.left"
    assert actual["two"] == "stack.0.right"
    assert actual["out"] == "stack.0"


def test_a_loop_feeds_its_subgraph() -> None:
    """An Identity that only hands on what the loop carries belongs to the loop's module."""
    actual = settle(
        """g (float[2] x, int64 n, bool go) => (float[2] y) {
        [loop] y = Loop (n, go, x) < body = b (int64 i, bool c, float[2] v)
            => (bool co, float[2] vo) { [cond] co = Identity (c) [step] vo = Relu (v) } >
        }""",
        {"loop": "stack.1", "step": "stack.1.left"},
    )
    assert actual["cond"] == "stack.1"


FUNCTION = """
<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
g (float[2] x) => (float[2] y) {
    [first] a = own.f (x)
    [second] y = own.f (a)
}
<domain: "own", opset_import: ["" : 17]>
f (v) => (w) { [half] h = Constant <value = float {0.5}> () [mul] m = Mul (v, h)
    [give] w = Identity (m) }
"""


def test_nodes_in_functions_follow_their_calls() -> None:
    """What a function gives back is used by its calls: it takes their common ancestor."""
    model = parser.parse_model(FUNCTION)
    graph = ModelGraph(model)
    tree = ModuleTree(Module(p, c, calls=1) for p, c in MODULES.items())
    given = {NodeKey("", 0): "stack.0.left", NodeKey("", 1): "stack.0.right"}
    claims = propagate(graph, tree, graph.keys, given).by_node
    names = {key: node.name for key, node in zip(graph.keys, graph.nodes, strict=True)}
    actual = {names[key]: claim.module for key, claim in claims.items()}
    assert actual == {"half": "stack.0", "mul": "stack.0", "give": "stack.0"}


def test_origins_are_kept() -> None:
    """A node shared by several modules lists them all."""
    text = """g (float[2] x) => (float[2] y) {
        [c] c = Constant <value = float {1.0}> () [a] a = Add (x, c) [b] y = Mul (a, c) }"""
    model = parse(text)
    modules = {k: v for k, v in MODULES.items() if k != "stack"} | {"stack": "ModuleList"}
    record = record_of(model, modules, [None, "stack.0.left", "stack.1.left"])
    first = match_record(model, record, "f").decisions[0]
    assert first.covers == ("stack.0.left", "stack.1.left")
    assert first.module == ""


def test_every_node_is_visited_once_users_first() -> None:
    """The order of propagation holds each node once, and users before makers."""
    for text in (HEADER + IF, FUNCTION):
        model: onnx.ModelProto = parser.parse_model(text)
        graph = ModelGraph(model)
        order = list(graph.consumers_first())
        assert sorted(order) == list(range(len(graph)))
        place = {number: at for at, number in enumerate(order)}
        edges = [(user, number) for number, users in enumerate(graph.successors) for user in users]
        assert edges
        assert [edge for edge in edges if place[edge[0]] >= place[edge[1]]] == []


def test_a_module_that_did_not_run_has_what_it_and_its_parts_do() -> None:
    """In a branch that was not taken nothing was called; a container holds, and does nothing."""
    paths = ["", "arm", "arm.part", "arm.rest"]
    tree = ModuleTree(Module(path, "Part", calls=int(not path)) for path in paths)
    assert tree.common_ancestor(["arm", "arm.part"]) == "arm"
    assert tree.common_ancestor(["arm.part", "arm.rest"]) == ""


def test_a_node_with_one_neighbour_covers_nothing_else() -> None:
    """Only several modules are listed."""
    graph = ModelGraph(parser.parse_model(HEADER + CHAIN.replace("Sigmoid", "Identity")))
    tree = ModuleTree(Module(path, "Part", calls=1) for path in MODULES)
    names = {node.name: key for key, node in zip(graph.keys, graph.nodes, strict=True)}
    claims = propagate(graph, tree, (), {names["a"]: "stack.0", names["b"]: "stack.1"}).by_node
    assert claims == {
        names[name]: Claim("stack.1", EvidenceKind.PROPAGATION) for name in ("n", "c")
    }


def test_results_are_followed_from_where_they_are_computed() -> None:
    """A node that nothing reads gets the modules of all that it reads, however far away."""
    text = """g (float[2] x) => (float[2] y) {
        [s] s = Relu (x) [p] p = Identity (s) [u] u = Identity (p)
        [q] q = Tanh (x) [y] y = Add (u, q) }"""
    actual = settle(text, {"s": "stack.0.left", "q": "stack.0.right"}, anywhere=True)
    assert (actual["p"], actual["u"], actual["y"]) == ("stack.0.left", "stack.0.left", "stack.0")
