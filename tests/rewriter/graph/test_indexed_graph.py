"""Nodes and values as numbers: who produces, who consumes, and what depends on no input."""

import msgspec
from onnx import parser

from modelexport.hierarchy.choices import RecordExporter
from modelexport.hierarchy.record import Source, Tensor
from modelexport.rewriter.graph.indexed_graph import NONE, IndexedGraph
from modelexport.rewriter.graph.model_graph import ModelGraph
from tests.helpers.handmade import HEADER, record_of


def index(text: str) -> IndexedGraph:
    return ModelGraph(parser.parse_model(HEADER + text)).indexed


def names(graph: IndexedGraph, values: object) -> list[str]:
    """Value names without their graphs; "" for an omitted one."""
    assert isinstance(values, (list, set, tuple))
    return ["" if value == NONE else graph.value_names[value][1] for value in values]


LINEAR = """g (float[2,2] x) => (float[2,2] y) <float[2,2] w = {1,2,3,4}> {
    h = MatMul (x, w)
    dead = Neg (h)
    y = Add (h, h)
}"""


def test_each_value_knows_its_producer_and_its_consumers() -> None:
    """A node that reads a value twice is one consumer; inputs and weights have no producer."""
    graph = index(LINEAR)
    x, w, h = (graph.value_of("", name) for name in "xwh")
    assert [graph.producer[value] for value in (x, w, h)] == [NONE, NONE, 0]
    assert [graph.consumers[value] for value in (x, w, h)] == [[0], [0], [1, 2]]
    assert names(graph, graph.inputs[2]) == ["h", "h"]
    assert graph.op_types == ["MatMul", "Neg", "Add"]


def test_weights_and_inputs_are_told_apart() -> None:
    """An initializer is no input from outside, even where the graph lists it as an input."""
    old = """g (float[2] x, float[2] w) => (float[2] y) <float[2] w = {1,2}> {
        y = Add (x, w)
    }"""
    for text in (LINEAR, old):
        graph = index(text)
        assert names(graph, graph.external_inputs) == ["x"]
        assert names(graph, graph.initializers) == ["w"]
        assert graph.is_constant(graph.value_of("", "w"))
        assert not graph.is_constant(graph.value_of("", "x"))


def test_an_input_that_no_node_reads_is_no_value() -> None:
    """Values are what nodes read or compute, and weights."""
    graph = index("g (float[2] x, float[2] unread) => (float[2] y) { y = Neg (x) }")
    assert graph.value_of("", "unread") == NONE


def test_a_node_whose_result_no_output_needs_is_not_live() -> None:
    """Live nodes are those on which an output depends."""
    assert index(LINEAR).live_nodes() == {0, 2}


def test_omitted_inputs_and_outputs_keep_their_position() -> None:
    """They are `NONE` in `inputs` and `outputs`, and left out of what is read and computed."""
    graph = index("""g (float[2,3,4] x) => (float[2,3,4] y, float[2,1,1] inverse) {
        s = Constant <value_floats = [1.0, 1.0, 1.0]> ()
        r = Resize (x, , s)
        y, , inverse = LayerNormalization (r, s)
    }""")
    assert names(graph, graph.inputs[1]) == ["x", "", "s"]
    assert names(graph, graph.input_values(1)) == ["x", "s"]
    assert names(graph, graph.outputs[2]) == ["y", "", "inverse"]
    assert names(graph, graph.output_values(2)) == ["y", "inverse"]


def test_what_depends_on_constants_and_shapes_alone_is_derived() -> None:
    """Shape arithmetic is derived, and what reads data is not, wherever its shape comes from."""
    graph = index("""g (float[a,b] x) => (float[c,d] y) <int64[1] w = {2}> {
        shape = Shape (x)
        half = Div (shape, w)
        y = Reshape (x, half)
    }""")
    assert graph.derived == [True, True, False]


def test_what_depends_on_scales_that_a_quantiser_chooses_is_derived() -> None:
    """The scale and the zero point, and not the codes."""
    graph = index("""g (float[4] x) => (float[4] y) <float w = {2}> {
        codes, scale, zero = DynamicQuantizeLinear (x)
        whole = Mul (scale, w)
        back = Cast <to = 1> (codes)
        y = Mul (back, whole)
    }""")
    assert graph.derived == [False, True, False, False]


IF = """g (float[2] x, bool c) => (float[2] y) <float[2] w = {1,2}> {
    h = Neg (x)
    k = Constant <value = float {1.0}> ()
    y = If (c) <
        then_branch = yes () => (float[2] a) { i = Add (h, w) a = Mul (i, k) },
        else_branch = no () => (float[2] b) { b = Abs (x) }
    >
}"""


def test_a_node_with_subgraphs_reads_what_these_capture() -> None:
    """Captured values follow after the node's own inputs; weights are not among them."""
    graph = index(IF)
    branch = graph.op_types.index("If")
    assert names(graph, graph.inputs[branch]) == ["c", "h", "k", "x"]
    assert graph.control_flow_nodes == {branch}
    assert branch in graph.consumers[graph.value_of("", "h")]
    assert graph.nodes_by_graph() == {
        "": [0, 1, 2],
        "/2.then_branch": [3, 4],
        "/2.else_branch": [5],
    }


def test_a_name_is_looked_up_in_the_graphs_around_a_subgraph() -> None:
    """A subgraph sees outer values; the graph around it does not see the subgraph's."""
    graph = index(IF)
    assert graph.value_of("/2.then_branch", "h") == graph.value_of("", "h") != NONE
    assert graph.value_of("", "i") == NONE
    assert graph.value_of("/2.else_branch", "i") == NONE


def test_a_node_with_subgraphs_is_never_derived() -> None:
    """What a branch computes is a module's work, even on constants alone."""
    graph = index("""g (float[2] x) => (float[2] y) {
        t = Constant <value = bool {1}> ()
        y = If (t) <
            then_branch = yes () => (float a) { a = Constant <value = float {1.0}> () },
            else_branch = no () => (float b) { b = Constant <value = float {2.0}> () }
        >
    }""")
    assert graph.derived == [True, False, True, True]


LOOP = """g (float[2] x) => (float[2] y) <int64 n = {3}, bool go = {1}> {
    y = Loop (n, go, x) <body = step (int64 i, bool on, float[2] s) => (bool more, float[2] r) {
        more = Identity (on)
        u = Neg (s)
        r = If (on) <then_branch = yes () => (float[2] a) { a = Add (u, x) },
                     else_branch = no () => (float[2] b) { b = Abs (u) }>
    }>
}"""


def test_subgraphs_inside_subgraphs_capture_through_all_that_hold_them() -> None:
    """The If reads the loop's state and the model's input; the Loop reads the latter again."""
    graph = index(LOOP)
    assert names(graph, graph.inputs[graph.op_types.index("If")]) == ["on", "u", "x", "u"]
    assert names(graph, graph.inputs[0]) == ["n", "go", "x", "x"]
    assert sorted(names(graph, graph.external_inputs)) == ["on", "s", "x"]
    assert not any(graph.derived)


def test_a_subgraph_input_hides_an_outer_value_of_its_name() -> None:
    """The nodes inside read the subgraph's own input, not the value around it."""
    graph = index("""g (float[2] x) => (float[2] y) <int64 n = {3}, bool go = {1}> {
        s = Neg (x)
        y = Loop (n, go, s) <body = step (int64 i, bool on, float[2] s) => (bool on, float[2] r) {
            r = Abs (s)
        }>
    }""")
    inner = graph.value_of("/1.body", "s")
    assert inner != graph.value_of("", "s")
    assert graph.producer[inner] == NONE
    assert graph.consumers[inner] == [2]


def test_functions_have_values_of_their_own() -> None:
    """Names inside a function are its own, even where the main graph has them, too."""
    graph = index("""g (float[2] x) => (float[2] y) { h = local.twice (x) y = Neg (h) }
    <domain: "local", opset_import: ["" : 17]> twice (x) => (y) { h = Identity (x) y = Add (h, h) }
    """)
    assert graph.op_types == ["local::twice", "Neg", "Identity", "Add"]
    assert graph.value_of("", "h") != graph.value_of("@local:twice", "h")
    assert graph.nodes_by_graph() == {"": [0, 1], "@local:twice": [2, 3]}


def test_a_record_is_indexed_as_the_file_that_it_is_of() -> None:
    """Nodes, values, producers, consumers and derived nodes have the same numbers."""
    for text in (LINEAR, IF, LOOP):
        model = parser.parse_model(HEADER + text)
        file = index(text)
        made = record_of(model, {"": "Net"}, [""] * len(file))
        tensors = tuple(Tensor(initializer.name) for initializer in model.graph.initializer)
        record = IndexedGraph.from_record(msgspec.structs.replace(made, tensors=tensors))
        for attribute in (
            *("op_types", "inputs", "outputs", "value_names", "producer", "consumers"),
            *("derived", "external_inputs", "control_flow_nodes", "has_torch_op_types"),
        ):
            assert getattr(file, attribute) == getattr(record, attribute), attribute


def test_a_record_of_an_eager_run_has_torch_operators() -> None:
    """They are not compared with ONNX's."""
    model = parser.parse_model(HEADER + LINEAR)
    record = record_of(model, {"": "Net"}, [""] * 3)
    eager = msgspec.structs.replace(record, source=Source("net", RecordExporter.EAGER, 0))
    assert IndexedGraph.from_record(eager).has_torch_op_types
