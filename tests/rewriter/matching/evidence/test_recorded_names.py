"""The ops that a node can be by its own name, and by those of its outputs."""

from modelexport.hierarchy.graph_paths import MAIN
from modelexport.hierarchy.module_tree import Module
from modelexport.hierarchy.record import Op, Probe, Record, Source
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.recorded_names import RecordedNames
from tests.helpers.handmade import parse

FILE = """g (float[8,16] x, bool c) => (float[8,16] y, float[8,16] z) {
    [one] a = Abs (x)
    [two_1] b = Neg (a)
    y = Exp (b)
    [branch] z = If (c) <
        then_branch = left () => (float[8,16] l) { [one] l = Abs (b) },
        else_branch = right () => (float[8,16] r) { [other] r = Neg (b) }
    >
}"""

Row = tuple[str, str, str, tuple[str, ...]]
"""Graph path, name, operator and outputs of a recorded op."""


def graph() -> ModelGraph:
    return ModelGraph(parse(FILE))


def numbers(*names: str) -> list[int]:
    """The nodes of the file that have one of some names."""
    return [n for n, node in enumerate(graph().nodes) if node.name in names]


def path_of(name: str) -> str:
    """The path of the innermost graph with a node of a name."""
    return max((graph().keys[node].graph for node in numbers(name)), key=len)


def recorded(*rows: Row) -> RecordedNames:
    """Some recorded ops by their names."""
    ops = tuple(
        Op(path, n, name, kind, outputs) for n, (path, name, kind, outputs) in enumerate(rows)
    )
    return RecordedNames(
        Record(
            source=Source("handmade", "hand", 17),
            digest="",
            modules=(Module("", "Net"),),
            ops=ops,
            tensors=(),
            probe=Probe(),
        )
    )


def main_node(name: str) -> int:
    return next(node for node in numbers(name) if graph().keys[node].graph == MAIN)


def test_a_node_can_be_the_ops_of_its_name() -> None:
    """Of its operator, in their order; a node without a name can be none by it."""
    names = recorded(
        (MAIN, "one", "Abs", ("q",)), (MAIN, "one", "Neg", ("p",)), (MAIN, "one", "Abs", ())
    )
    assert list(names.by_name(graph(), main_node("one"))) == [0, 2]
    assert list(names.by_name(graph(), main_node("two_1"))) == []
    unnamed = recorded((MAIN, "", "Exp", ("y",)))
    assert list(unnamed.by_name(graph(), main_node(""))) == []
    assert list(unnamed.by_output(graph(), main_node(""))) == [0]


def test_a_node_can_be_the_ops_of_its_outputs() -> None:
    """Of its operator; an omitted output is no name."""
    names = recorded(
        (MAIN, "p", "Abs", ("a", "more")), (MAIN, "q", "Exp", ("a",)), (MAIN, "r", "Abs", ("", "a"))
    )
    assert list(names.by_output(graph(), main_node("one"))) == [0, 2]
    assert list(names.by_output(graph(), main_node("two_1"))) == []


def test_the_op_in_the_same_subgraph_is_the_first() -> None:
    """Where several graphs have the name, a node of yet another graph can be none of them."""
    inner = path_of("one")
    assert inner != MAIN
    names = recorded((MAIN, "one", "Abs", ("a",)), (inner, "one", "Abs", ("l",)))
    outer_node, inner_node = sorted(numbers("one"), key=lambda n: graph().keys[n].graph == inner)
    assert list(names.by_name(graph(), outer_node)) == [0, 1]
    assert list(names.by_name(graph(), inner_node)) == [1, 0]
    elsewhere = recorded(("f", "one", "Abs", ("a",)), ("g", "one", "Abs", ("l",)))
    assert list(elsewhere.by_name(graph(), outer_node)) == []
    moved = recorded(("f", "one", "Abs", ("a",)), ("f", "one", "Abs", ("l",)))
    assert list(moved.by_name(graph(), outer_node)) == [0, 1]


def test_names_that_differ_by_a_number_only_are_counted() -> None:
    """With an underscore in front of it or not; a name that is there twice is one name."""
    names = recorded(
        *((MAIN, name, "Abs", ()) for name in ("add", "add_1", "mul2", "sub_3", "sub_3", "mul_x7"))
    )
    assert [names.is_counted(op) for op in range(6)] == [True, True, False, False, False, False]
    assert not recorded((MAIN, "toX_1", "Abs", ()), (MAIN, "to_1", "Abs", ())).is_counted(0)
    assert recorded((MAIN, "n9", "Abs", ()), (MAIN, "n_12", "Abs", ())).is_counted(0)


def test_whether_a_file_has_any_recorded_name() -> None:
    """Of a node or of a value."""
    assert recorded((MAIN, "one", "Neg", ("q",))).has_any_of(graph())
    assert recorded((MAIN, "q", "Neg", ("b",))).has_any_of(graph())
    assert not recorded((MAIN, "q", "Neg", ("p",))).has_any_of(graph())


def test_why_a_node_is_none_of_the_ops() -> None:
    """No name agrees, another node took the op, or the op does something else."""
    node = main_node("one")
    nothing = recorded((MAIN, "q", "Abs", ("p",)))
    assert nothing.why_unpaired(graph(), node) == "the record has no op of its names"
    for row in ((MAIN, "one", "Abs", ("p",)), (MAIN, "q", "Abs", ("a",))):
        reason = recorded(row).why_unpaired(graph(), node)
        assert reason == "another node has taken the recorded op of its name"
    other = recorded((MAIN, "one", "Neg", ("p",)), (MAIN, "q", "Exp", ("a",)))
    assert (
        other.why_unpaired(graph(), node)
        == "the record's op of its name is a Exp or Neg, not a Abs"
    )
