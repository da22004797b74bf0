"""Weights of modules that did not run when the record was made."""

from collections.abc import Mapping

import msgspec
import pytest

from modelexport.hierarchy.module_tree import Module
from modelexport.hierarchy.record import Record
from modelexport.rewriter.matching.evidence.idle_weights import IdleWeights, find_idle_weights
from modelexport.rewriter.matching.thresholds import MOST_IDLE_SHARE
from tests.helpers.handmade import parse, record_of

TEXT = "g (float[2] x) => (float[2] z) { y = Relu (x) z = Tanh (y) }"
ABSENT = frozenset({90, 91})
"""Labels of recorded weights that the recorded file did not have."""


def record(*, also: tuple[str, ...] = ()) -> Record:
    """The modules `ran` and `idle`; an op of `ran`, which does the work of others, too."""
    known = record_of(parse(TEXT), {"": "Net", "ran": "Part", "idle": "Part"}, ["ran", ""])
    first, second = known.ops
    return msgspec.structs.replace(known, ops=(msgspec.structs.replace(first, also=also), second))


def idle(
    candidates: Mapping[int, set[int]],
    owners: Mapping[int, str],
    matrices: set[int],
    also: tuple[str, ...] = (),
) -> IdleWeights:
    return find_idle_weights(record(also=also), candidates, ABSENT, owners, matrices)


def test_an_absent_weight_of_a_module_without_ops_is_idle() -> None:
    """Not one that the recorded file has, nor that of a module that ran, nor of no module."""
    candidates = {1: {90}, 2: {90, 5}, 3: {91}, 4: {91}, 5: {90, 91}}
    owners = {1: "idle", 2: "idle", 3: "ran", 5: "idle"}
    result = idle(candidates, owners, {1, 2, 3})
    assert result.values == {1, 5}
    assert (result.matrices, result.example, result.compared) == (1, "idle", 3)


def test_a_module_whose_work_another_op_does_ran() -> None:
    """A normalisation that was folded into a convolution has no op of its own."""
    assert idle({1: {90}}, {1: "idle"}, {1}, also=("idle",)) == IdleWeights(compared=1)


@pytest.mark.parametrize(("more", "prevail"), [(0, False), (1, True)])
def test_idle_weights_prevail_above_a_share_of_the_matrices(more: int, prevail: bool) -> None:
    """Vectors do not count: they are folded into others."""
    total = 8
    count = int(MOST_IDLE_SHARE * total) + more
    owners = {n: "idle" if n < count else "ran" for n in range(total + 3)}
    candidates = {n: {90} if n < count or n >= total else {1} for n in range(total + 3)}
    owners |= dict.fromkeys(range(total, total + 3), "idle")
    result = idle(candidates, owners, set(range(total)))
    assert result.prevail is prevail
    assert result.describe().startswith(f"{count} of the {total} matrices")
    assert result.describe().endswith("such as idle")


def test_a_file_without_weights_has_no_idle_ones() -> None:
    """Nothing prevails."""
    assert not IdleWeights().prevail


def test_a_module_that_ran_under_another_name_ran() -> None:
    """Whichever name the owner of a weight has."""
    known = record()
    ops = tuple(msgspec.structs.replace(op, module="twin") for op in known.ops)
    modules = (*known.modules, Module("twin", "Part", alias_of="idle"))
    twin = msgspec.structs.replace(known, ops=ops, modules=modules)
    candidates, owners = {1: {90}, 2: {91}}, {1: "idle", 2: "twin"}
    assert find_idle_weights(twin, candidates, ABSENT, owners, {1, 2}) == IdleWeights(compared=2)
