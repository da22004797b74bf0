"""Nodes that are called as recorded: what makes such a pair count, and what drops it."""

from collections.abc import Collection, Mapping

import msgspec
import onnx
import pytest

from modelexport.hierarchy.record import Record, Tensor
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.names import NameMatch, RecordedNames, match_names
from tests.helpers.handmade import parse, record_of

NO_OP = "the record has no op of its names"
TAKEN = "another node has taken the recorded op of its name"
OTHER_WEIGHTS = "its name is the record's, its weights are not"
OTHER_SURROUNDINGS = "its name is the record's, the weights around it are not"
OTHER_NEIGHBOURS = "its name is the record's, its neighbours are not"

Shapes = Mapping[str, tuple[int, ...]]
Numbers = Mapping[str, Collection[str]]


def recorded(text: str, weights: Shapes | None = None, *, inputs: bool = True) -> Record:
    """A record of the graph, in which `a.w` is the parameter of module `a`."""
    model = parse(text, weights)
    nodes = sum(len(graph.node) for graph in graphs(model))
    modules = {"": "Net"} | {name.rpartition(".")[0]: "Part" for name in weights or {}}
    record = record_of(model, modules, [""] * nodes)
    if inputs:
        return record
    ops = tuple(msgspec.structs.replace(op, inputs=()) for op in record.ops)
    return msgspec.structs.replace(record, ops=ops)


def graphs(model: onnx.ModelProto) -> list[onnx.GraphProto]:
    inside = [a.g for node in model.graph.node for a in node.attribute if a.HasField("g")]
    return [model.graph, *inside]


class Pairs:
    """The names of paired nodes and ops, and why others do not pair.

    Args:
        file: ONNX text of the file.
        record: The record.
        weights: Shapes of the file's initializers.
        numbers: Initializers to the recorded parameters whose numbers they hold.
    """

    def __init__(
        self,
        file: str,
        record: Record,
        weights: Shapes | None = None,
        numbers: Numbers | None = None,
    ) -> None:
        self.graph = ModelGraph(parse(file, weights))
        by_value = {
            self.graph.indexed.value_of("", name): frozenset(parameters)
            for name, parameters in (numbers or {}).items()
        }
        self.match: NameMatch = match_names(self.graph, record, by_value)
        self._ops = record.ops

    @property
    def pairs(self) -> dict[str, str]:
        ops = ((self.graph.nodes[n], self._ops[op]) for n, op in self.match.pairs.items())
        return {label(node): op.name or op.outputs[0] for node, op in ops}

    @property
    def reasons(self) -> dict[str, str]:
        why = self.match.why_unpaired(range(len(self.graph)))
        return {label(self.graph.nodes[n]): reason for n, reason in why.items()}


def label(node: onnx.NodeProto) -> str:
    return node.name or node.output[0]


PLAIN = """g (float[4] x) => (float[4] c) {
    [one] a = Relu (x)
    [two] b = Tanh (a)
    [three] c = Exp (b)
}"""


def test_equal_names_pair() -> None:
    """Of nodes and of their outputs."""
    assert Pairs(PLAIN, recorded(PLAIN)).pairs == {"one": "one", "two": "two", "three": "three"}
    assert Pairs(PLAIN, recorded(PLAIN)).reasons == {}


def test_names_of_nodes_or_of_outputs_are_enough() -> None:
    """Where the others were changed, or left out."""
    outputs = PLAIN.replace("[one]", "[u]").replace("[two]", "[v]").replace("[three]", "[w]")
    assert Pairs(outputs, recorded(PLAIN)).pairs == {"u": "one", "v": "two", "w": "three"}
    nodes = """g (float[4] x) => (float[4] r) {
        [one] p = Relu (x)
        [two] q = Tanh (p)
        [three] r = Exp (q)
    }"""
    assert Pairs(nodes, recorded(PLAIN)).pairs == {"one": "one", "two": "two", "three": "three"}


def test_names_of_outputs_count_before_those_of_nodes() -> None:
    """A tool may number its nodes anew and keep the tensors."""
    record = recorded("g (float[4] x) => (float[4] b) { [n0] a = Relu (x) [n1] b = Relu (a) }")
    swapped = "g (float[4] x) => (float[4] b) { [n1] a = Relu (x) [n0] b = Relu (a) }"
    actual = Pairs(swapped, record)
    assert actual.match.pairs == {0: 0, 1: 1}


def test_nothing_in_common_is_seen_at_once() -> None:
    """And each node says so; unnamed nodes have no name in common."""
    other = "g (float[4] p) => (float[4] r) { q = Relu (p) r = Tanh (q) }"
    actual = Pairs(other, recorded(PLAIN))
    assert (actual.pairs, actual.reasons) == ({}, {"q": NO_OP, "r": NO_OP})
    unnamed = PLAIN.replace("[one]", "").replace("[two]", "").replace("[three]", "")
    assert Pairs(other, recorded(unnamed)).pairs == {}


def test_another_operator_of_the_name_does_not_pair() -> None:
    """The reason says which one was recorded."""
    changed = PLAIN.replace("Tanh", "Sigmoid")
    actual = Pairs(changed, recorded(PLAIN))
    assert "two" not in actual.pairs
    assert actual.reasons == {"two": "the record's op of its name is a Tanh, not a Sigmoid"}


def test_the_reason_names_each_recorded_operator() -> None:
    """Those of the node's name and of its outputs' names."""
    crossed = """g (float[4] x) => (float[4] c) {
        [one] a = Relu (x)
        [three] b = Sin (a)
        [two] c = Exp (b)
    }"""
    actual = Pairs(crossed, recorded(PLAIN))
    assert actual.reasons == {"three": "the record's op of its name is a Exp or Tanh, not a Sin"}


def test_a_name_is_given_once() -> None:
    """The first node of two with one name pairs; the other one says so."""
    twice = PLAIN.replace("[three]", "[other] d = Tanh (x) [two] e = Tanh (a) [three]")
    actual = Pairs(twice, recorded(PLAIN))
    assert actual.match.pairs == {0: 0, 1: 1, 4: 2}
    assert actual.reasons == {"other": NO_OP, "two": TAKEN}


def test_an_op_that_is_taken_leaves_the_next_one() -> None:
    """Two recorded ops may have one name, too."""
    text = "g (float[4] x) => (float[4] b) { [n] a = Relu (x) [n] b = Relu (a) }"
    renamed = text.replace("a =", "p =").replace("(a)", "(p)").replace("b =", "q =")
    assert Pairs(renamed, recorded(text)).match.pairs == {0: 0, 1: 1}


BRANCHES = """g (bool c, float[4] x) => (float[4] y) {
    [if] y = If (c) <
        then_branch = t () => (float[4] p) { [n] p = Relu (x) },
        else_branch = e () => (float[4] q) { [n] q = Relu (x) }
    >
}"""
ELSE_ONLY = """g (bool c, float[4] x) => (float[4] y) {
    [if] y = If (c) <
        then_branch = t () => (float[4] p) { [m] r = Neg (x) },
        else_branch = e () => (float[4] q) { [n] q = Relu (x) }
    >
}"""


def test_a_name_pairs_in_the_subgraph_of_the_same_path_first() -> None:
    """Branches may repeat names."""
    renamed = BRANCHES.replace("p)", "r)").replace("p =", "r =")
    renamed = renamed.replace("q)", "s)").replace("q =", "s =")
    assert Pairs(renamed, recorded(BRANCHES)).match.pairs == {0: 0, 1: 1, 2: 2}


def test_a_name_of_several_subgraphs_says_nothing_elsewhere() -> None:
    """A node of the main graph may have come from either branch; of one branch it is known."""
    inlined = "g (bool c, float[4] x) => (float[4] r) { [n] r = Relu (x) }"
    assert Pairs(inlined, recorded(BRANCHES)).pairs == {}
    assert Pairs(inlined, recorded(ELSE_ONLY)).pairs == {"n": "n"}


WEIGHTED = """g (float[4] x) => (float[4] d) {
    [p] a = MatMul (x, a.w)
    [q] b = Relu (a)
    [r] c = MatMul (b, b.w)
    [s] d = Tanh (c)
}"""
WEIGHTS = {"a.w": (4, 4), "b.w": (4, 4)}
SWAPPED = WEIGHTED.replace("a.w", "c.w").replace("b.w", "a.w").replace("c.w", "b.w")


def test_a_pair_that_reads_other_weights_is_dropped() -> None:
    """It is the other layer, whatever it is called; one that reads no known weight is not."""
    actual = Pairs(SWAPPED, recorded(WEIGHTED, WEIGHTS), WEIGHTS)
    assert {"p", "r"}.isdisjoint(actual.pairs)
    assert actual.reasons["p"] == actual.reasons["r"] == OTHER_WEIGHTS
    renamed = WEIGHTED.replace("a.w", "u").replace("b.w", "v")
    other = Pairs(renamed, recorded(WEIGHTED, WEIGHTS), {"u": (4, 4), "v": (4, 4)})
    assert set(other.pairs) == set("pqrs")


def test_a_node_that_reads_results_alone_is_no_op_that_reads_a_parameter() -> None:
    """Nor where a result has the name of the recorded parameter; constants may hold it."""
    text = WEIGHTED.replace("b.w", "t")
    shapes = {"a.w": (4, 4), "t": (4, 4)}
    known = recorded(text, shapes)
    record = msgspec.structs.replace(known, tensors=(*known.tensors, Tensor("t", "b.w")))
    assert "r" in Pairs(text, record, shapes).pairs
    for name in ("t", "u"):
        results = WEIGHTED.replace("b.w", name).replace("[r]", f"[o] {name} = Sigmoid (x) [r]")
        assert Pairs(results, record, {"a.w": (4, 4)}).reasons["r"] == OTHER_WEIGHTS
    cast = text.replace("[r]", "[o] t = Transpose (u) [r]")
    assert "r" in Pairs(cast, record, {"a.w": (4, 4), "u": (4, 4)}).pairs


def test_numbers_of_a_weight_count_before_its_name() -> None:
    """Where they are those of another parameter, or of none, the name says nothing."""
    record = recorded(WEIGHTED, WEIGHTS)
    swapped = Pairs(SWAPPED, record, WEIGHTS, {"a.w": ["b.w"], "b.w": ["a.w"]})
    assert set(swapped.pairs) == set("pqrs")
    other = Pairs(WEIGHTED, record, WEIGHTS, {"a.w": ["b.w"]})
    assert other.reasons["p"] == OTHER_WEIGHTS
    new = Pairs(WEIGHTED, record, WEIGHTS, {"a.w": []})
    assert new.reasons["p"] == OTHER_WEIGHTS


def test_names_with_a_number_are_known_as_such() -> None:
    """In a related model such a name may be that of another node."""
    text = "g (float[4] x) => (float[4] b) { [relu] a = Relu (x) [relu_1] b = Relu (a) }"
    match = Pairs(text, recorded(text)).match
    assert match.counted == {node for node in match.pairs if match.names.is_counted(node)}
    assert match.counted


def test_one_common_weight_is_enough() -> None:
    """A node may read another one beside it, a constant of the exporter's making say."""
    text = WEIGHTED.replace("MatMul (x, a.w)", "Gemm (x, a.w, b.w)")
    record = recorded(text, WEIGHTS)
    assert "p" in Pairs(WEIGHTED.replace("MatMul (x", "Gemm (x"), record, WEIGHTS).pairs


def test_what_stands_among_other_weights_is_dropped_with_them() -> None:
    """Nodes without weights are judged by those around them."""
    actual = Pairs(SWAPPED, recorded(WEIGHTED, WEIGHTS), WEIGHTS)
    assert actual.pairs == {}
    assert actual.reasons["q"] == actual.reasons["s"] == OTHER_SURROUNDINGS


def test_what_stands_between_right_and_wrong_weights_stays() -> None:
    """As many votes for as against are no reason to drop it."""
    shapes = {**WEIGHTS, "c.w": (4, 4)}
    record = recorded(WEIGHTED + "", {**WEIGHTS, "c.w": (4, 4)})
    actual = Pairs(WEIGHTED.replace("b.w", "c.w"), record, shapes)
    assert set(actual.pairs) == {"p", "q"}
    assert actual.reasons == {"r": OTHER_WEIGHTS, "s": OTHER_SURROUNDINGS}


LONG = """g (float[4] x) => (float[4] e) {
    [p] a = MatMul (x, a.w)
    [q] b = Relu (a)
    [r] c = Tanh (b)
    [s] d = Exp (c)
    [t] e = MatMul (d, b.w)
}"""


def test_votes_reach_all_connected_nodes_without_weights() -> None:
    """A chain of them is one component, with the votes at both of its ends."""
    actual = Pairs(LONG.replace("a.w", "b.w"), recorded(LONG, WEIGHTS), WEIGHTS)
    assert set(actual.pairs) == {"q", "r", "s", "t"}
    actual = Pairs(LONG.replace("b.w", "u"), recorded(LONG, WEIGHTS), {"a.w": (4, 4), "u": (4, 4)})
    assert set(actual.pairs) == set("pqrst")
    shapes = {"b.w": (4, 4), "u": (4, 4)}
    actual = Pairs(LONG.replace("b.w", "u").replace("a.w", "b.w"), recorded(LONG, WEIGHTS), shapes)
    assert {actual.reasons[name] for name in "qrs"} == {OTHER_SURROUNDINGS}


SHARED = """g (float[4] x) => (float[4] d) {
    [k] one = Constant <value_float = 1.0> ()
    [n] two = Neg (one)
    [p] a = MatMul (x, a.w)
    [q] b = Add (a, two)
    [r] c = MatMul (b, b.w)
    [s] d = Add (c, two)
}"""


def test_constants_connect_nothing() -> None:
    """Every module shares them: the votes of one layer do not reach the other through them."""
    shapes = {**WEIGHTS, "c.w": (4, 4)}
    record = recorded(SHARED, shapes)
    actual = Pairs(SHARED.replace("MatMul (b, b.w)", "MatMul (b, c.w)"), record, shapes)
    assert set(actual.pairs) == {"k", "n", "p", "q"}
    assert actual.reasons == {"r": OTHER_WEIGHTS, "s": OTHER_SURROUNDINGS}


def test_a_pair_without_a_common_neighbour_is_dropped() -> None:
    """Exporters number: the same name may stand elsewhere."""
    text = """g (float[4] x) => (float[4] c) {
        [one] a = Relu (x)
        [two] b = Tanh (a)
        [three] c = Exp (b)
        [pre] d = Neg (x)
        [far] e = Sin (d)
        [last] f = Cos (e)
        [out] h = Abs (f)
    }"""
    moved = text.replace("Cos (e)", "Cos (c)").replace("[out] h = Abs (f)", "[new] i = Ceil (f)")
    actual = Pairs(moved, recorded(text))
    assert actual.reasons == {"last": OTHER_NEIGHBOURS, "new": NO_OP}
    assert set(actual.pairs) == {"one", "two", "three", "pre", "far"}


def test_dropping_goes_on_until_all_have_a_neighbour() -> None:
    """Two ops whose names are swapped speak for each other no longer once one is dropped."""
    record = recorded(
        """g (float[4] x, float[4] y) => (float[4] d) {
            [p] a = Relu (x)
            [q] b = Tanh (a)
            [r] c = Sin (y)
            [s] d = Exp (c)
        }"""
    )
    file = """g (float[4] u, float[4] v) => (float[4] f) {
        [k] i = Cos (u)
        [p] e = Relu (i)
        [s] f = Exp (e)
        [r] h = Sin (f)
    }"""
    actual = Pairs(file, record)
    assert actual.pairs == {}
    assert {actual.reasons[name] for name in "psr"} == {OTHER_NEIGHBOURS}


@pytest.mark.parametrize(
    "text",
    [
        "[k] i = Cos (u) [p] e = Relu (x) [l] f = Cos (e)",
        "[o] n = Neg (u) [p] e = Relu (n) [l] f = Cos (e)",
        "[k] i = Cos (u) [p] a = Relu (i) [q] f = Tanh (a)",
    ],
    ids=["an input", "a predecessor", "a successor"],
)
def test_one_neighbour_in_common_is_enough(text: str) -> None:
    """An input or weight of the name, or a paired node before it or behind it."""
    record = recorded(
        """g (float[4] x, float[4] y) => (float[4] b) {
            [k] j = Ceil (y)
            [l] l = Floor (y)
            [o] n = Neg (y)
            [p] a = Relu (n)
            [q] b = Tanh (a)
        }""".replace("Relu (n)", "Add (n, x)")
    )
    file = "g (float[4] x, float[4] u) => (float[4] f) {" + text.replace("Relu (", "Add (u, ") + "}"
    assert Pairs(file, record).pairs["p"] == "p"


def test_unknown_neighbours_say_nothing() -> None:
    """An optimiser's new nodes on both sides are no reason to drop a pair."""
    file = """g (float[4] u) => (float[4] w) {
        v = Cos (u)
        [two] b = Tanh (v)
        w = Sin (b)
    }"""
    assert Pairs(file, recorded(PLAIN)).pairs == {"two": "two"}


def test_a_neighbour_of_another_operator_speaks_against_a_pair_no_more_than_a_new_one() -> None:
    """A node whose name is known and that did not pair is like one that is not known."""
    file = """g (float[4] u) => (float[4] w) {
        [one] v = Cos (u)
        [two] b = Tanh (v)
    }"""
    assert Pairs(file, recorded(PLAIN)).pairs == {"two": "two"}


def test_an_input_that_a_node_computes_is_no_common_input() -> None:
    """The name of a recorded input may have become that of an unknown node's output."""
    file = """g (float[4] u) => (float[4] c) {
        x = Cos (u)
        [one] a = Relu (x)
        [three] t = Exp (a)
    }"""
    actual = Pairs(file, recorded(PLAIN))
    assert actual.pairs == {}
    assert actual.reasons["one"] == OTHER_NEIGHBOURS


def test_neighbours_are_found_across_graphs() -> None:
    """A node of a branch reads what the main graph computes, by the name that it has there."""
    text = """g (bool c, float[4] u) => (float[4] y) {
        [pre] x = Neg (u)
        [if] y = If (c) <
            then_branch = t () => (float[4] p) { [n] p = Relu (x) },
            else_branch = e () => (float[4] q) { [m] q = Tanh (x) [l] o = Exp (q) }
        >
    }"""
    actual = Pairs(text, recorded(text))
    assert set(actual.pairs) == {"pre", "if", "n", "m", "l"}


def test_a_record_without_inputs_drops_none_for_its_neighbours() -> None:
    """It does not know them."""
    file = PLAIN.replace("Tanh (a)", "Tanh (x)").replace("Exp (b)", "Exp (x)")
    assert set(Pairs(file, recorded(PLAIN, inputs=False)).pairs) == {"one", "two", "three"}


def test_an_op_of_the_nodes_own_graph_comes_first() -> None:
    """Subgraphs may repeat names, whichever was recorded first."""
    text = "g (float[2] x) => (float[2] y) { [n] a = Relu (x) [n] y = Relu (a) }"
    record = recorded(text)
    inside = msgspec.structs.replace(record.ops[0], graph="0.body")
    names = RecordedNames(msgspec.structs.replace(record, ops=(inside, record.ops[1])))
    assert list(names.by_name(ModelGraph(parse(text)), 0)) == [1, 0]


def test_surroundings_are_counted_one_by_one() -> None:
    """One neighbour that reads the recorded weight does not outweigh two that read others."""
    text = """g (float[2] x) => (float[2] y) {
        [p] p = MatMul (x, a.w) [q] q = MatMul (x, b.w) [r] r = MatMul (x, c.w)
        [s] y = Sum (p, q, r)
    }"""
    weights = {"a.w": (2, 2), "b.w": (2, 2), "c.w": (2, 2)}
    swapped = text.replace("b.w", "o.w").replace("c.w", "b.w").replace("o.w", "c.w")
    actual = Pairs(swapped, recorded(text, weights), weights)
    assert actual.pairs == {"p": "p"}
    assert actual.reasons["s"] == OTHER_SURROUNDINGS


def test_a_neighbour_without_a_recorded_name_does_not_vote() -> None:
    """It speaks neither for the surroundings nor against them."""
    text = "g (float[2] x) => (float[2] y) { [p] p = MatMul (x, a.w) [q] y = Neg (p) }"
    weights = {"a.w": (2, 2), "b.w": (2, 2)}
    file = text.replace("a.w", "b.w").replace("}", "[new] z = Exp (y) }")
    record = recorded(text.replace("}", "[r] r = MatMul (x, b.w) }"), weights)
    assert Pairs(file, record, weights).reasons["q"] == OTHER_SURROUNDINGS


def test_all_neighbours_of_dropped_pairs_are_looked_at_again() -> None:
    """Two ops that only agree with one in a subgraph of theirs, which does not agree with them."""
    record = recorded(
        """g (float[2] x) => (float[2] d) {
            [k] k = Exp (x)
            [a] a = Neg (k) [b] b = Abs (a) [c] c = Sin (k) [d] d = Cos (c)
        }"""
    )
    graphs = {"a": "0.body", "b": "0.body/1.then", "c": "0.body", "d": "0.body/1.then"}
    ops = (msgspec.structs.replace(op, graph=graphs.get(op.name, "")) for op in record.ops)
    file = """g (float[2] x) => (float[2] d1) {
        [o] o = Tanh (x)
        [a] a1 = Neg (o) [b] b1 = Abs (a1) [c] c1 = Sin (o) [d] d1 = Cos (c1)
    }"""
    actual = Pairs(file, msgspec.structs.replace(record, ops=tuple(ops)))
    assert actual.pairs == {}
    assert {actual.reasons[name] for name in "abcd"} == {OTHER_NEIGHBOURS}
