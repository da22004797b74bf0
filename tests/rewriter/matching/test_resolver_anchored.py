"""Nodes without a pair: those that read a weight of one op, and those that pass a value on."""

import pytest

from tests.helpers.aligned import Aligned, numbers
from tests.helpers.resolved import resolve

WEIGHTS = "float[16,16] w = {1}, float[16] b = {1}"
RECORD = f"""g (float[8,16] x) => (float[8,16] y) <{WEIGHTS}> {{
    [before] h = Neg (x)
    [multiply] m = MatMul (h, w)
    [middle] k = Exp (m)
    [add] a = Add (k, b)
    [tail] t = Sin (a)
    [after] y = Abs (t)
}}"""
FILE = f"""g (float[8,16] x) => (float[8,16] y) <{WEIGHTS}> {{
    [before] h = Neg (x)
    [one] p = other.One (h)
    [two] q = other.Two (p, b)
    [three] r = other.Three (q)
    [after] y = Abs (r)
}}"""
ENDS = {"before": "before", "after": "after"}


def aligned(file: str, record: str, weights: str = "b") -> Aligned:
    """A file that computes other numbers from `one` to `three`, and the weights that `b` may be."""
    recorded = {name: numbers(n) for n, name in enumerate("xhmkaty")}
    values = {name: recorded[name] for name in "xhy"}
    values |= {name: numbers(n) for n, name in enumerate("pqr", 11)}
    return Aligned(
        file,
        record,
        weights={"b": list(weights)},
        file_values=values,
        record_values=recorded,
    )


def regions(case: Aligned, **options: object) -> dict[str, list[str]]:
    """The ops that enclose the nodes which are paired with none."""
    actual = resolve(case, ENDS, **options)
    return {
        case.node_name(node): [case.op_name(op) for op in ops]
        for node, ops in sorted(actual.regions.items())
    }


def test_a_node_that_reads_the_weight_of_one_op_parts_the_nodes_around_it() -> None:
    """Those before it do what its op reads, those behind it what follows."""
    case = aligned(FILE, RECORD)
    assert regions(case) == {"one": ["multiply", "middle"], "two": ["add"], "three": ["tail"]}


def test_a_weight_that_two_ops_may_have_or_read_parts_nothing() -> None:
    """Nor does one that none reads."""
    alone = ["multiply", "middle", "add", "tail"]
    case = aligned(FILE, RECORD, "wb")
    assert regions(case)["one"] == alone
    case = aligned(FILE, RECORD.replace("Sin (a)", "Mul (a, b)"))
    assert regions(case)["one"] == alone
    case = aligned(FILE, RECORD.replace("Add (k, b)", "Cos (k)"))
    assert regions(case)["one"] == alone


def test_what_is_computed_of_weights_alone_parts_nothing() -> None:
    """It stands nowhere in the file."""
    file = FILE.replace("[before]", "[constant] c = Cos (b) [before]").replace("(p, b)", "(p, c)")
    case = aligned(file, RECORD)
    assert regions(case)["one"] == ["multiply", "middle", "add", "tail"]


def test_of_the_ops_whose_merged_weights_a_node_reads_it_does_those_of_its_region() -> None:
    """If there are any."""
    record = RECORD.replace("Abs (t)", "Abs (t) [last] z = Add (y, b)").replace(
        "=> (float[8,16] y", "=> (float[8,16] z"
    )
    record = record.replace("[add] a = Add (k, b)", "[add] a = Cos (k)")
    file = FILE.replace("Abs (r)", "Abs (r) [last] z = Add (y, v)").replace(
        "=> (float[8,16] y", "=> (float[8,16] z"
    )
    file = file.replace("> {", ", float[16] v = {2}, float[16,17] p = {3}> {", 1)
    file = file.replace("other.One (h)", "other.One (h, p)").replace("(p, b)", "(p, p)")
    file = file.replace("p = other.One", "i = other.One").replace("(p, p)", "(i)")
    case = Aligned(file, record, weights={"v": ["b"]})
    assert regions(case, merged={"p": ["w", "b"]})["one"] == ["multiply"]


PASSING = """g (float[8,16] x) => (float[8,16] y) {
    [before] h = Tanh (x)
    [to] t = Transpose (h)
    [back] g = Transpose (t)
    [after] y = Abs (g)
}"""


@pytest.mark.parametrize(
    ("modules", "expected"),
    [
        (("", "m", "m", ""), {"cast": ["to", "back"]}),
        (("", "m", "n", ""), {}),
        (("", None, None, ""), {}),
    ],
)
def test_a_node_that_passes_a_value_on_is_of_the_one_module_that_does_so(
    modules: tuple[str | None, ...], expected: dict[str, list[str]]
) -> None:
    """Whose ops have other operators."""
    file = PASSING.replace("[to] t = Transpose (h) ", "").replace("[to] t = Transpose (h)\n", "")
    file = file.replace("[back] g = Transpose (t)", "[cast] g = Identity (h)")
    assert regions(Aligned(file, PASSING), modules=modules) == expected
