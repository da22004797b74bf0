"""Where divergence begins, and which pairs are none: on graphs of a few nodes."""

import msgspec
import pytest

from modelexport.rewriter.comparison.boundaries import BoundaryValue
from modelexport.rewriter.comparison.divergence_finder import DivergenceFinder
from modelexport.rewriter.comparison.results import Deviation
from modelexport.rewriter.comparison.thresholds import AGREEMENT_DISTANCE, SAME_VALUE_DISTANCE
from modelexport.rewriter.comparison.value_pairing import Pair
from modelexport.rewriter.graph.model_graph import ModelGraph
from tests.helpers.handmade import parse

CHAIN = """
g (float[2] x) => (float[2] d) {
   a = Relu (x)
   b = Neg (a)
   c = Abs (b)
   d = Exp (c)
}
"""
"""Nodes 0 to 3, one after the other."""

TOLERANCE = 1e-4
FAR = 2 * SAME_VALUE_DISTANCE
EXACT = Deviation(
    tag="/Net", a="", b="", a_op="", b_op="", shape=(2,), paired_by="name", max_abs=0.0,
    mean_abs=0.0, relative=0.0, cosine=1.0, snr_db=None, unlike=0, diverges=False,
)  # fmt: skip


def deviation(relative: float | None, *, paired_by: str = "name", unlike: int = 0) -> Deviation:
    diverges = relative is None or relative > TOLERANCE or bool(unlike)
    return msgspec.structs.replace(
        EXACT, relative=relative, paired_by=paired_by, unlike=unlike, diverges=diverges
    )


def finder(deviations: dict[int, Deviation]) -> DivergenceFinder:
    """A finder for the chain, with a pair for the value of each of these nodes."""
    pairs = []
    for node in deviations:
        value = BoundaryValue("abcd"[node], node, "", ("",))
        pairs.append(Pair("", value, value, value.name, value.name, "name"))
    return DivergenceFinder(ModelGraph(parse(CHAIN)), pairs, list(deviations.values()))


def test_divergence_begins_after_what_agrees() -> None:
    """Every value behind the first one diverges too, and is no beginning."""
    values = {0: deviation(0.0), 1: deviation(0.2), 2: deviation(0.2), 3: deviation(0.2)}
    assert finder(values).beginnings(()) == {1}


def test_nodes_between_pairs_are_looked_through() -> None:
    """A node whose value is not compared hands divergence on."""
    assert finder({0: deviation(0.2), 3: deviation(0.2)}).beginnings(()) == {0}


def test_excluded_pairs_are_looked_through() -> None:
    """As if their values had not been compared."""
    values = {0: deviation(0.2), 1: deviation(0.0), 2: deviation(0.2)}
    assert finder(values).beginnings(()) == {0, 2}
    assert finder(values).beginnings({1}) == {0}
    assert finder(values).beginnings({0, 1}) == {2}


def test_a_pair_is_none_when_all_behind_it_agrees() -> None:
    """Something was moved across a boundary; the value itself is not the same one."""
    assert finder({1: deviation(0.2), 2: deviation(0.0)}).mispairings() == {0}
    assert finder({1: deviation(0.0), 2: deviation(0.0)}).mispairings() == set()


def test_an_output_is_always_a_pair() -> None:
    """The graph itself says what its outputs are."""
    values = {1: deviation(0.2, paired_by="output"), 2: deviation(0.0)}
    assert finder(values).mispairings() == set()


def test_the_last_value_is_a_pair() -> None:
    """Nothing is computed from it that could say otherwise."""
    assert finder({3: deviation(FAR)}).mispairings() == set()


@pytest.mark.parametrize(
    ("value", "mispaired"),
    [
        (deviation(SAME_VALUE_DISTANCE * 1.01), True),
        (deviation(SAME_VALUE_DISTANCE * 0.99), False),
        (deviation(None), True),
        (deviation(0.0, unlike=1), True),
    ],
)
def test_how_far_a_pair_is_that_is_none(value: Deviation, *, mispaired: bool) -> None:
    """Beyond `SAME_VALUE_DISTANCE`, without a distance, or infinite in one file only."""
    mispairings = finder({1: value, 2: deviation(AGREEMENT_DISTANCE / 2)}).mispairings()
    assert mispairings == ({0} if mispaired else set())


@pytest.mark.parametrize(
    ("behind", "mispaired"),
    [
        (deviation(AGREEMENT_DISTANCE * 0.99), True),
        (deviation(AGREEMENT_DISTANCE * 1.01), False),
        (deviation(None), False),
    ],
)
def test_how_near_the_values_behind_must_be(behind: Deviation, *, mispaired: bool) -> None:
    """Below `AGREEMENT_DISTANCE`: an error does not shrink that much."""
    mispairings = finder({1: deviation(FAR), 2: behind}).mispairings()
    assert mispairings == ({0} if mispaired else set())
