"""Nodes that pass a value on by other operators than the record, told by their place."""

from modelexport.rewriter.matching.alignment.passing import find_passing_ops, find_recasts
from tests.helpers.aligned import Aligned

RECORD = """g (float[8,16] x) => (float[8,16] y) {
    [first] h = Tanh (x)
    [to] t = Transpose (h)
    [back] g = Transpose (t)
    [last] y = Abs (g)
}"""
FILE = """g (float[8,16] x) => (float[8,16] y) {
    [first] h = Tanh (x)
    [passing] g = Identity (h)
    [last] y = Abs (g)
}"""
ENDS = {"first": "first", "last": "last"}


def passing(file: str, seeds: dict[str, str], record: str = RECORD) -> dict[str, list[str]]:
    case = Aligned(file, record)
    pairs = case.pairs(seeds)
    actual = find_passing_ops(case.graphs, pairs.ops, pairs.is_free)
    return {case.node_name(n): [case.op_name(op) for op in ops] for n, ops in actual.items()}


def test_between_the_same_neighbours_all_that_pass_the_value_on_are_meant() -> None:
    """Whatever operators both have."""
    assert passing(FILE, ENDS) == {"passing": ["to", "back"]}


def test_one_open_or_other_neighbour_tells_nothing() -> None:
    """Nor does a reader that is not paired."""
    assert passing(FILE, {"first": "first"}) == {}
    assert passing(FILE, {"last": "last"}) == {}
    further = FILE.replace("y = Abs (g)", "k = Abs (g) [more] y = Add (g, k)")
    assert passing(further, ENDS) == {}
    other = RECORD.replace("[to] t = Transpose (h)", "[sine] s = Sin (h) [to] t = Transpose (s)")
    assert passing(FILE, ENDS, other) == {}


def test_an_op_that_has_its_node_leaves_the_others_open() -> None:
    """Then a node may be a step that the record does not have."""
    file = FILE.replace("[passing] g = Identity (h)", "[to] t = Transpose (h) [more] g = Cast (t)")
    assert passing(file, {**ENDS, "to": "to"}) == {}
    assert passing(file, ENDS) == {"to": ["to", "back"], "more": ["to", "back"]}


def test_a_node_without_results_passes_nothing_on() -> None:
    """Damaged files have copies without an output."""
    file = FILE.replace("[last]", "[lost] = Identity (h) [last]")
    assert passing(file, ENDS) == {"passing": ["to", "back"]}


def test_a_node_that_is_paired_is_left_out_and_others_are_not() -> None:
    """Also where its op is another one; a node without paired readers tells nothing."""
    record = RECORD.replace("[last]", "[side] s = Identity (x) [last]")
    assert passing(FILE, {**ENDS, "passing": "side"}, record) == {}
    file = FILE.replace("[passing]", "[lost] i = Identity (h) [sine] o = Sin (i) [passing]")
    assert passing(file, ENDS) == {"passing": ["to", "back"]}


def test_the_reader_may_read_something_else_before() -> None:
    """Every input of its op is looked at."""
    record = RECORD.replace("Abs (g)", "Add (x, g)")
    assert passing(FILE.replace("Abs (g)", "Add (x, g)"), ENDS, record) == {
        "passing": ["to", "back"]
    }


RECASTS = """g (float[8,16] x) => (float[8,16] y) {
    [first] h = Tanh (x)
    [before] q, s, z = DynamicQuantizeLinear (h)
    [real] d = DequantizeLinear (q, s, z)
    [to] t = Transpose (d)
    [again] r, u, v = DynamicQuantizeLinear (t)
    [behind] e = DequantizeLinear (r, u, v)
    [last] y = Abs (e)
}"""


def recasts(file: str, record: str = RECORD, real: str = "") -> set[str]:
    """The quantisers that recast, where only the results of the node `real` hold real numbers."""
    case = Aligned(file, record)
    graph = case.graphs.file.graph
    producer = graph.producer

    def is_real(value: int) -> bool:
        return producer[value] >= 0 and case.node_name(producer[value]) == real

    nodes = find_recasts(graph, case.graphs.record.graph, is_real)
    return {case.node_name(node) for node in nodes}


def test_quantisers_behind_a_node_that_passes_a_value_on_are_told() -> None:
    """Those between the op that computes the value and this node are its own."""
    assert recasts(RECASTS) == {"again", "behind"}
    assert recasts(RECASTS.replace("Transpose", "Neg")) == set()


def test_quantisers_of_what_a_node_computes_in_real_numbers_are_told() -> None:
    """The node itself shows these numbers. Behind codes, the quantiser is the first to do so."""
    assert recasts(RECASTS, real="first") == {"before", "real", "again", "behind"}
    codes = RECASTS.replace("[before] q, s, z = DynamicQuantizeLinear (h)", "q = MatMulInteger (h)")
    assert recasts(codes.replace("(q, s, z)", "(q, q)"), real="first") == {"again", "behind"}


def test_where_the_record_is_quantised_its_quantisers_are_ops() -> None:
    """Then a node may be one of them."""
    assert recasts(RECASTS, RECASTS) == set()


def test_a_quantiser_without_inputs_or_behind_an_input_is_its_own() -> None:
    """Damaged files have nodes without inputs."""
    lost = RECASTS.replace(
        "[before] q, s, z = DynamicQuantizeLinear (h)",
        "[before] q, s, z = DynamicQuantizeLinear ()",
    )
    assert recasts(lost) == {"again", "behind"}
    assert recasts(RECASTS.replace("[to] t = Transpose (d)", "").replace("(t)", "(x)")) == set()
