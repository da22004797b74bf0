"""Several calls that one recorded op does, and nodes of another file that do them one by one."""

import msgspec

from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.fingerprints import value_fingerprint
from modelexport.hierarchy.record import MergedCall, Record
from modelexport.rewriter.matching.evidence.claims import Claim
from modelexport.rewriter.matching.evidence.merged_calls import MergedCalls
from modelexport.rewriter.matching.evidence.weight_match import WeightMatch
from modelexport.rewriter.matching.node_claims import ClaimBuilder
from modelexport.rewriter.matching.resolver import NodeResolver
from tests.helpers.aligned import Aligned, numbers
from tests.helpers.handmade import record_of

RECORDED = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}> {
    [first] a = Tanh (x)
    [merged] b = MatMul (a, w)
    [last] y = Abs (b)
}"""
APART = """g (float[8,16] x) => (float[8,16] y) <float[16,16] w = {1}> {
    [first] a = Tanh (x)
    [padding] p = Expand (a, a)
    [product] c = MatMul (p, w)
    [shift] b = Neg (c)
    [last] y = Abs (b)
}"""
MODULES = {"": "Net", "one": "Block", "one.fc": "Linear", "one.norm": "Norm"}
SCOPES = ("", "one.fc", "")
VALUES = {"a": numbers(1), "b": numbers(2), "y": numbers(3)}
PADDED, PRODUCT = numbers(4, (16, 16)), numbers(5)


def record_with(case: Aligned, *merged: MergedCall) -> Record:
    """The record, whose product does several calls."""
    record = record_of(case.record.model, MODULES, SCOPES)
    also = tuple(sorted({call.module for call in merged} - {"one.fc"}))
    ops = [
        msgspec.structs.replace(op, also=also, merged=merged) if op.name == "merged" else op
        for op in record.ops
    ]
    return msgspec.structs.replace(record, ops=tuple(ops))


def apart() -> Aligned:
    """A file that has a node for each of the calls."""
    inside = {"p": PADDED, "c": PRODUCT}
    return Aligned(APART, RECORDED, file_values={**VALUES, **inside}, record_values=VALUES)


CALLS = (
    MergedCall("one", value_fingerprint(PADDED)),
    MergedCall("one.fc", value_fingerprint(PRODUCT)),
    MergedCall("one.norm"),
)


def claims_of(case: Aligned, record: Record) -> dict[str, Claim]:
    """What is claimed about each node of a file."""
    resolver = NodeResolver(
        record, case.file.indexed, case.record.indexed, case.values, WeightMatch({}, {}, {})
    )
    claims = ClaimBuilder(case.file.keys, record, resolver.resolve({}, structure=True), {})
    return {
        case.file.nodes[key.position].name: claim
        for kind in claims.build()
        for key, claim in kind.by_node.items()
    }


def test_a_node_that_computes_a_value_between_calls_does_those_before_it() -> None:
    """As far as the node before it does not do them."""
    case = apart()
    op = case.op("merged")
    merged = MergedCalls(record_with(case, *CALLS), case.file.indexed, case.values)
    assert merged.modules_of(case.node("padding"), {op}) == {"one"}
    assert merged.modules_of(case.node("product"), {op}) == {"one.fc"}
    assert merged.modules_of(case.node("padding"), {case.op("last")}) == frozenset()
    assert merged.modules_of(case.node("first"), {op}) == frozenset()


def test_a_node_that_reads_a_value_between_calls_does_those_after_it() -> None:
    """A node that reads none does them all."""
    case = apart()
    record, op = record_with(case, *CALLS), case.op("merged")
    merged = MergedCalls(record, case.file.indexed, case.values)
    parts = {
        name: merged.part_of(case.node(name), op, record.ops[op])
        for name in ("padding", "product", "shift")
    }
    modules = {name: {part.module, *part.also} for name, part in parts.items()}
    assert modules == {
        "padding": {"one", "one.fc", "one.norm"},
        "product": {"one.fc", "one.norm"},
        "shift": {"one.norm"},
    }


def test_a_module_of_calls_on_both_sides_stays() -> None:
    """What ran before and after the value between them."""
    case = apart()
    record = record_with(case, CALLS[0], CALLS[1], MergedCall("one"))
    merged = MergedCalls(record, case.file.indexed, case.values)
    part = merged.part_of(case.node("product"), case.op("merged"), record.ops[case.op("merged")])
    assert {part.module, *part.also} == {"one", "one.fc"}


def test_without_values_a_node_does_the_whole_op() -> None:
    """Nothing tells which part it does."""
    case = Aligned(APART, RECORDED)
    record, op = record_with(case, *CALLS), case.op("merged")
    merged = MergedCalls(record, case.file.indexed, case.values)
    assert merged.part_of(case.node("product"), op, record.ops[op]) == record.ops[op]
    assert merged.modules_of(case.node("padding"), {op}) == frozenset()


def test_claims_tell_the_parts_of_an_op_apart() -> None:
    """The nodes before the last one are no recorded op; the last one is the op."""
    text = APART.replace("[shift] b = Neg (c)", "").replace("c = MatMul", "b = MatMul")
    case = Aligned(text, RECORDED, file_values={**VALUES, "p": PADDED}, record_values=VALUES)
    record = record_with(case, CALLS[0], MergedCall("one.fc"))
    by_name = claims_of(case, record)
    assert by_name["padding"] == Claim("one", EvidenceKind.VALUES)
    assert (by_name["product"].module, by_name["product"].covers) == ("one.fc", ())


def test_a_module_that_no_call_is_of_stays_with_the_part() -> None:
    """The op has it by other means; the first module stays the first, if the part has it."""
    case = apart()
    record = record_with(case, *CALLS)
    op, node = case.op("merged"), case.node("product")
    recorded = msgspec.structs.replace(record.ops[op], module="other", also=("one", "one.fc"))
    merged = MergedCalls(record, case.file.indexed, case.values)
    part = merged.part_of(node, op, recorded)
    assert (part.module, part.also) == ("other", ("one.fc", "one.norm"))
    part = merged.part_of(node, op, msgspec.structs.replace(recorded, module="one.fc"))
    assert (part.module, part.also) == ("one.fc", ("one.norm",))


def test_claims_on_parts_of_an_op_may_be_of_several_modules() -> None:
    """They are under the module around them."""
    case = Aligned(
        APART.replace("[shift] b = Neg (c)", "").replace("c = MatMul", "b = MatMul"),
        RECORDED,
        file_values={**VALUES, "p": PADDED},
        record_values=VALUES,
    )
    calls = (MergedCall("one.norm"), CALLS[0], MergedCall("one.fc"))
    record = record_with(case, *calls)
    by_name = claims_of(case, record)
    assert by_name["padding"] == Claim("one", EvidenceKind.VALUES, ("one", "one.norm"))


def test_of_two_values_between_calls_the_last_one_counts() -> None:
    """In whatever order a node reads them."""
    text = APART.replace("Neg (c)", "Add (c, p)")
    for inputs in ("(c, p)", "(p, c)"):
        case = Aligned(
            text.replace("(c, p)", inputs),
            RECORDED,
            file_values={**VALUES, "p": PADDED, "c": PRODUCT},
            record_values=VALUES,
        )
        record, op = record_with(case, *CALLS), case.op("merged")
        merged = MergedCalls(record, case.file.indexed, case.values)
        part = merged.part_of(case.node("shift"), op, record.ops[op])
        assert {part.module, *part.also} == {"one.norm"}
