"""Steps that bring a result into the shape in which the record has it."""

import numpy as np
import pytest

from modelexport.hierarchy.fingerprints import Array
from modelexport.rewriter.matching.alignment.layouts import find_shaping_nodes
from tests.helpers.aligned import Aligned, numbers

RECORD = """g (float[8,16] x) => (float[8,16] y) <int64[2] i = {2, 0}> {
    [first] h = Tanh (x)
    [picked] g = Gather <axis = 1> (h, i)
    [last] y = Abs (g)
}"""
FILE = """g (float[8,16] x) => (float[8,16] y) <int64[2] i = {2, 0}> {
    [first] h = Tanh (x)
    [to] t = Transpose (h)
    [picked] p = Gather (t, i)
    [back] q = Transpose (p)
    [same] g = Identity (q)
    [last] y = Abs (g)
}"""
PAIRS = {"first": "first", "picked": "picked", "last": "last"}


def shaping(file: str, values: dict[str, Array], recorded: dict[str, Array]) -> dict[str, str]:
    case = Aligned(file, RECORD, file_values=values, record_values=recorded)
    actual = find_shaping_nodes(case.graphs, case.pairs(PAIRS).ops)
    return {case.node_name(node): case.op_name(op) for node, op in actual.items()}


HIDDEN, PICKED = numbers(1), numbers(2, (8, 2))
RECORDED = {"h": HIDDEN, "g": PICKED, "y": numbers(3)}
VALUES = {"h": HIDDEN, "t": HIDDEN.T, "p": PICKED.T, "q": PICKED, "g": PICKED, "y": numbers(3)}


def test_the_step_that_restores_the_recorded_shape_is_a_part_of_the_op() -> None:
    """A step after it is its readers', as the one before the op is."""
    assert shaping(FILE, VALUES, RECORDED) == {"back": "picked"}


def test_all_steps_are_until_the_recorded_shape_is_reached() -> None:
    """One by one they change it."""
    file = FILE.replace("[same] g = Identity (q)", "[whole] g = Reshape (q, i)")
    values = {**VALUES, "q": PICKED.reshape(4, 4)}
    assert shaping(file, values, RECORDED) == {"back": "picked", "whole": "picked"}


@pytest.mark.parametrize(
    ("name", "value"), [("p", PICKED), ("q", PICKED.reshape(4, 4)), ("q", np.flip(PICKED) + 1)]
)
def test_a_step_that_does_not_restore_it_is_not(name: str, value: Array) -> None:
    """The node has the recorded shape itself, or what follows has another one or other numbers."""
    file = FILE.replace("[same] g = Identity (q)", "").replace("Abs (g)", "Abs (q)")
    values = {**VALUES, name: value}
    del values["g"]
    assert shaping(file, values, RECORDED) == {}


def test_nothing_is_told_without_values() -> None:
    """Then shapes are not known."""
    case = Aligned(FILE, RECORD)
    assert find_shaping_nodes(case.graphs, case.pairs(PAIRS).ops) == {}


def test_steps_behind_a_node_that_computes_something_are_not() -> None:
    """Although it is not paired."""
    file = FILE.replace("[back] q = Transpose (p)", "[extra] e = Sin (p) [back] q = Transpose (e)")
    assert shaping(file, {**VALUES, "e": PICKED.T}, RECORDED) == {}
