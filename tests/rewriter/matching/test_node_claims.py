"""From recorded ops to claims: modules, calls, reasons, and what is claimed without an op."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.fingerprints import value_fingerprint
from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.hierarchy.record import Constant, Record
from modelexport.rewriter.matching.alignment.scorer import ScoredOp
from modelexport.rewriter.matching.evidence.claims import Claim, Claims
from modelexport.rewriter.matching.node_claims import ClaimBuilder, claim_of_ops, constant_modules
from modelexport.rewriter.matching.resolver import Resolution
from tests.helpers.aligned import Aligned, numbers
from tests.helpers.handmade import record_of

FILE = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}, float[16,16] v = {2}> {
    [first] a = MatMul (x, w)
    [second] b = Neg (a)
    [cast] c = Cast <to = 1> (b)
    [constant] k = Neg (v)
    [last] y = MatMul (c, k)
}"""
NODES = ("first", "second", "cast", "constant", "last")
MODULES = {"": "Net", "one": "Block", "one.fc": "Linear", "two": "Block"}
SCOPES = ("one.fc", "one", "two", None, "")
NAMES, WEIGHTS, VALUES, STRUCTURE = (
    EvidenceKind.NAMES,
    EvidenceKind.WEIGHTS,
    EvidenceKind.VALUES,
    EvidenceKind.STRUCTURE,
)


def record(case: Aligned, constants: tuple[Constant, ...] = ()) -> Record:
    recorded = record_of(case.record.model, MODULES, SCOPES)
    return msgspec.structs.replace(recorded, constants=constants)


def build(
    case: Aligned,
    constants: tuple[Constant, ...] = (),
    owners: Mapping[str, str] | None = None,
    new: Iterable[str] = (),
    **resolved: Any,
) -> dict[EvidenceKind, Claims]:
    """The claims of each kind.

    Args:
        case: The graphs.
        constants: What modules compute from no input.
        owners: Initializers to the module whose parameter they hold.
        new: Nodes of modules that the record does not have.
        resolved: Fields of the resolution, by the names of the nodes.
    """
    numbered = {
        name: {case.node(node): value for node, value in of_nodes.items()}
        for name, of_nodes in resolved.items()
    }
    empty: dict[str, dict[int, Any]] = {
        name: {} for name in ("paired", "evidence", "regions", "reasons", "ambiguous", "considered")
    }
    graphs = replace(case.graphs, new_nodes=frozenset(map(case.node, new)))
    resolution = Resolution(graphs, **{**empty, "overruled": {}, **numbered})
    parameters = {
        case.file.indexed.value_of("", name): path for name, path in (owners or {}).items()
    }
    builder = ClaimBuilder(case.file.keys, record(case, constants), resolution, parameters)
    return dict(zip((NAMES, WEIGHTS, VALUES, STRUCTURE), builder.build(), strict=True))


def key(name: str) -> NodeKey:
    return NodeKey("", NODES.index(name))


def plain() -> Aligned:
    return Aligned(FILE, FILE)


def test_a_paired_node_has_the_module_of_its_op() -> None:
    """By the kind of evidence that paired it, and in the call of the op."""
    claims = build(
        plain(), paired={"first": (0,), "second": (1,)}, evidence={"first": NAMES, "second": VALUES}
    )
    assert claims[NAMES].by_node == {key("first"): Claim("one.fc", NAMES, call=0)}
    assert claims[VALUES].by_node == {key("second"): Claim("one", VALUES, call=0)}


def test_a_fused_node_covers_the_modules_of_its_ops() -> None:
    """Its own module is their common ancestor."""
    claims = build(plain(), paired={"second": (1, 0)}, evidence={"second": WEIGHTS})
    assert claims[WEIGHTS].by_node == {key("second"): Claim("one", WEIGHTS, ("one", "one.fc"))}


def test_a_pair_with_an_op_without_module_claims_nothing() -> None:
    """The node is recognised all the same; of several ops the last one counts."""
    claims = build(
        plain(),
        paired={"first": (3,), "second": (3, 0)},
        evidence={"first": NAMES, "second": NAMES},
    )
    unknown = "the record does not know its module"
    assert not claims[NAMES].by_node
    assert claims[NAMES].without_module == {key("first"): unknown, key("second"): unknown}


def test_an_enclosed_node_has_the_modules_of_its_region() -> None:
    """Ops without a module aside; if none has any, the node has none."""
    claims = build(plain(), regions={"first": (3, 0), "second": (3,)})
    assert claims[STRUCTURE].by_node == {key("first"): Claim("one.fc", STRUCTURE, call=0)}
    assert claims[STRUCTURE].without_module.keys() == {key("second"), key("cast")}


@pytest.mark.parametrize("ambiguous", [2, 17, 18, 40])
def test_an_ambiguous_node_has_the_modules_of_17_candidates_at_most(ambiguous: int) -> None:
    """Holds MOST_ALTERNATIVES: the first ones are in one module, the others in another."""
    scored = [ScoredOp(0, 1.0)] * min(ambiguous, 17) + [ScoredOp(2, 1.0)] * (ambiguous - 17)
    claims = build(plain(), ambiguous={"first": scored})
    assert claims[VALUES].by_node == {key("first"): Claim("one.fc", VALUES, call=0)}
    scored = [ScoredOp(0, 1.0)] * 16 + [ScoredOp(2, 1.0)]
    claims = build(plain(), ambiguous={"first": scored})
    assert claims[VALUES].by_node[key("first")].covers == ("one.fc", "two")


@pytest.mark.parametrize("recorded", [False, True])
def test_a_quantisers_node_claims_no_module_of_the_ops_whose_numbers_it_returns(
    recorded: bool,
) -> None:
    """It serves what reads its result; one of a file that was quantised when recorded is an op."""
    dequantised = FILE.replace("Neg (a)", "DequantizeLinear (a, x)")
    case = Aligned(dequantised, dequantised if recorded else FILE)
    claims = build(case, ambiguous={"second": [ScoredOp(1, 1.0), ScoredOp(2, 1.0)]})
    assert (key("second") in claims[VALUES].by_node) is recorded
    assert (key("second") in claims[STRUCTURE].without_module) is not recorded


def test_a_node_without_ops_has_a_reason() -> None:
    """Why nothing encloses it, or that it passes values through."""
    claims = build(plain(), reasons={"second": "far away"})
    assert claims[STRUCTURE].reasons == {key("second"): "far away"}
    assert claims[STRUCTURE].without_module == {key("cast"): "it returns the numbers that it reads"}


@pytest.mark.parametrize(
    ("between", "module"),
    [((0, 1), "one"), ((2,), "two"), ((2, 4), ""), ((0, 2), None), ((0, 3), None), ((), None)],
)
def test_a_new_node_has_the_module_around_the_ops_between_which_it_stands(
    between: tuple[int, ...], module: str | None
) -> None:
    """The root only where one of them is its own; none where the module of one is unknown."""
    claims = build(plain(), between={"second": between})
    expected = {} if module is None else {key("second"): Claim(module, STRUCTURE)}
    assert claims[STRUCTURE].by_node == expected


def test_new_nodes_without_ops_are_not_recorded() -> None:
    """A related model has them; a node with an op is recorded all the same."""
    claims = build(plain(), new=["first", "second"], regions={"second": (1,)})
    assert claims[STRUCTURE].not_recorded == {key("first")}


def test_what_names_say_against_values_is_noted() -> None:
    """Unless it comes to the same module, or the op of the name has none."""
    noted = "names say one, but what it computes is something else"
    claims = build(plain(), overruled={"first": 1, "second": 3, "last": 4})
    assert claims[VALUES].overruled[key("first")] == noted
    assert key("second") not in claims[VALUES].overruled
    assert claims[VALUES].overruled[key("last")].startswith("names say the root, ")
    claims = build(
        plain(), paired={"first": (1,)}, evidence={"first": VALUES}, overruled={"first": 1}
    )
    assert not claims[VALUES].overruled


def constant_case(array: Any) -> tuple[Aligned, tuple[Constant, ...]]:
    """A file that computes a constant which module `two` computes, too."""
    values = {"a": numbers(2), "k": array}
    case = Aligned(FILE, FILE, file_values=values, record_values={"a": values["a"]})
    fingerprint = value_fingerprint(array)
    assert fingerprint is not None
    return case, (Constant("two", fingerprint),)


def test_a_node_that_computes_a_constant_of_one_module_is_of_that_module() -> None:
    """Without any op; a paired node has its op's module, and data is no constant."""
    case, constants = constant_case(numbers(1))
    assert build(case, constants)[VALUES].by_node == {key("constant"): Claim("two", VALUES)}
    claims = build(case, constants, paired={"constant": (0,)}, evidence={"constant": NAMES})
    assert not claims[VALUES].by_node
    two = (*constants, Constant("one", constants[0].value))
    assert not build(case, two)[VALUES].by_node
    data = value_fingerprint(numbers(2))
    assert data is not None
    assert not build(case, (Constant("two", data),))[VALUES].by_node


def test_a_weight_tells_more_than_a_constant_of_whole_numbers() -> None:
    """Counting up is computed everywhere; real numbers are not."""
    counts = np.arange(128).reshape(8, 16)
    for array, expected in ((counts, Claim("one", WEIGHTS)), (numbers(1), Claim("two", VALUES))):
        case, constants = constant_case(array)
        claims = build(case, constants, {"v": "one"})
        assert {**claims[WEIGHTS].by_node, **claims[VALUES].by_node}[key("constant")] == expected


def test_a_node_without_ops_that_reads_a_parameter_is_of_its_module() -> None:
    """Of one module; what passes values through has none."""
    claims = build(plain(), owners={"v": "two", "w": "one"})
    expected = {key("first"): Claim("one", WEIGHTS), key("constant"): Claim("two", WEIGHTS)}
    assert claims[WEIGHTS].by_node == expected
    file = FILE.replace("Neg (v)", "Mul (v, w)")
    claims = build(Aligned(file, FILE), owners={"v": "two", "w": "one"})
    assert key("constant") not in claims[WEIGHTS].by_node


def preparing(**resolved: dict[str, Any]) -> list[str]:
    """The nodes that prepare an input in a file of whole and of real numbers.

    Args:
        resolved: Fields of the resolution, by the names of the nodes.
    """
    file = """g (int64[8,16] x) => (float[8,16] y) {
        [first] f = Sin (x)
        [prepares] a = Abs (x)
        [too] b = Sub (a, a)
        [casts] c = Cast <to = 1> (b)
        [computes] d = Exp (c)
        [rounds] e = Cast <to = 7> (d)
        y = Add (c, d)
    }"""
    whole = np.arange(128).reshape(8, 16)
    values = {"f": numbers(3), "a": whole, "b": whole, "c": numbers(1), "d": numbers(2), "e": whole}
    case = Aligned(file, file, file_values=values, record_values={})
    recorded = record_of(case.record.model, MODULES, (*SCOPES, None, None))
    numbered = {
        name: {case.node(node): value for node, value in of_nodes.items()}
        for name, of_nodes in resolved.items()
    }
    empty: dict[str, dict[int, Any]] = {
        name: {}
        for name in (
            *("paired", "evidence", "regions", "reasons", "ambiguous", "considered", "overruled"),
        )
    }
    resolution = Resolution(case.graphs, **{**empty, **numbered})
    claims = ClaimBuilder(case.file.keys, recorded, resolution, {}).build()
    return [
        case.node_name(place.position)
        for kind in claims
        for place, why in kind.without_module.items()
        if why == "it prepares an input for the nodes that use it"
    ]


def test_what_prepares_an_input_belongs_to_the_nodes_that_use_it() -> None:
    """Whole numbers that are made of inputs alone; not what reads the result of a module."""
    assert preparing() == ["prepares", "too"]


def test_a_recorded_op_prepares_nothing() -> None:
    """Nor does what reads its result."""
    paired = {"paired": {"prepares": (1,)}, "evidence": {"prepares": NAMES}}
    assert preparing(**paired) == []
    assert preparing(regions={"prepares": (1,)}) == []


def test_a_node_that_reads_a_parameter_of_its_region_is_of_that_module() -> None:
    """Which is one of several whose ops it may stand for."""
    claims = build(plain(), owners={"w": "one"}, regions={"first": (1, 2)})
    assert claims[WEIGHTS].by_node == {key("first"): Claim("one", WEIGHTS)}
    claims = build(plain(), owners={"w": "two"}, regions={"first": (0, 1)})
    assert not claims[WEIGHTS].by_node
    assert claims[STRUCTURE].by_node[key("first")].covers == ("one", "one.fc")


def test_the_claim_of_ops_counts_further_modules_and_calls() -> None:
    """An op that does the work of two modules covers both; a call is told when it is one."""
    recorded = record(plain())
    first, second = recorded.ops[0], recorded.ops[1]
    both = msgspec.structs.replace(first, also=("two",))
    assert claim_of_ops([both], NAMES, recorded.tree) == Claim("", NAMES, ("one.fc", "two"))
    again = msgspec.structs.replace(second, call=1)
    assert claim_of_ops([second, again], NAMES, recorded.tree) == Claim("one", NAMES)
    assert claim_of_ops([again], NAMES, recorded.tree) == Claim("one", NAMES, call=1)
    assert claim_of_ops([recorded.ops[4]], NAMES, recorded.tree) == Claim("", NAMES, call=0)
    assert claim_of_ops([recorded.ops[3]], NAMES, recorded.tree) is None


def test_without_values_no_constants_are_known() -> None:
    """Nor where the record has none."""
    case, constants = constant_case(numbers(1))
    assert constant_modules(record(case, constants), None) == {}
    assert constant_modules(record(case), case.values) == {}
    assert list(constant_modules(record(case, constants), case.values).values()) == ["two"]
