"""Which values of two files are paired, and by what: each rule, on values of a few numbers."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from modelexport.rewriter.comparison.boundaries import Boundaries, BoundaryValue
from modelexport.rewriter.comparison.thresholds import SAME_VALUE_DISTANCE, SKETCH_SIZE
from modelexport.rewriter.comparison.value_pairing import ComparedValues, ValuePairing
from modelexport.rewriter.comparison.value_summary import ValueSummary

ROOT, BLOCK = "", "/block"
DEPTHS = {ROOT: 0, BLOCK: 1}
Numbers = Sequence[float] | Sequence[Sequence[float]]


def compared(
    values: Mapping[str, Numbers],
    *,
    keys: tuple[str, ...] = (BLOCK, ROOT),
    outputs: Mapping[str, str] | None = None,
    fixed: frozenset[str] = frozenset(),
    shared_work: Mapping[str, list[str]] | None = None,
    depths: Mapping[str, int] | None = None,
) -> ComparedValues:
    """The values of one file, all of which leave the same modules.

    Args:
        values: Their numbers by name, in the order in which they are computed.
        keys: The modules that they leave.
        outputs: The outputs that values become, by the names of the values.
        fixed: Those that depend on no input.
        shared_work: Modules whose work other nodes do.
        depths: The modules that have nodes.
    """
    outputs = outputs or {}
    boundary_values = tuple(
        BoundaryValue(name, number, "Relu", keys, outputs.get(name), name in fixed)
        for number, name in enumerate(values)
    )
    named = {**values, **{output: values[name] for name, output in outputs.items()}}
    return ComparedValues(
        Boundaries(boundary_values, dict(depths or DEPTHS), dict(shared_work or {})),
        {name: ValueSummary.of(np.array(numbers)) for name, numbers in named.items()},
        list(outputs.values()),
    )


def paired(first: ComparedValues, second: ComparedValues) -> list[tuple[str, str, str]]:
    pairs = ValuePairing(first, second).pairs
    return [(pair.a_name, pair.b_name, pair.paired_by) for pair in pairs]


def reasons(first: ComparedValues, second: ComparedValues) -> list[list[tuple[str, str]]]:
    """Names and reasons of the values of each file that have no partner."""
    pairing = ValuePairing(first, second)
    return [[(value.name, why) for value, why in pairing.unpaired(index)] for index in (0, 1)]


def test_outputs_are_paired_by_name() -> None:
    """Whatever they hold: a graph says itself what its outputs are."""
    first = compared({"a": [1.0, 0.0], "b": [0.0, 1.0]}, outputs={"a": "y", "b": "z"})
    second = compared({"c": [9.0, 0.0], "d": [0.0, 1.0]}, outputs={"c": "z", "d": "y"})
    assert paired(first, second) == [("y", "y", "output"), ("z", "z", "output")]


def test_outputs_of_other_names_are_paired_by_position() -> None:
    """If as many are left in both files."""
    first = compared({"a": [1.0], "b": [1.0]}, outputs={"a": "y", "b": "left"})
    second = compared({"c": [1.0], "d": [1.0]}, outputs={"c": "right", "d": "y"})
    assert set(paired(first, second)) == {("y", "y", "output"), ("left", "right", "output")}
    third = compared({"c": [1.0]}, outputs={"c": "y"})
    assert ("y", "y", "output") in paired(first, third)


def test_outputs_of_different_sizes_are_not_paired() -> None:
    """They cannot be compared element by element."""
    first = compared({"a": [1.0, 2.0]}, outputs={"a": "y"})
    second = compared({"b": [1.0, 2.0, 3.0]}, outputs={"b": "y"})
    assert paired(first, second) == []


def test_a_name_counts_where_one_value_of_its_size_leaves() -> None:
    """The numbers may have changed: a module may diverge."""
    first, second = compared({"h": [1.0, 0.0]}), compared({"h": [-1.0, 5.0]})
    assert paired(first, second) == [("h", "h", "name")]


def test_a_name_of_several_counts_only_for_near_values() -> None:
    """Names that are numbered anew in every file would pair the wrong values."""
    first = compared({"add_1": [1.0, 0.0], "add_2": [0.0, 1.0]})
    second = compared({"add_1": [0.0, 1.0], "add_2": [1.0, 0.0]})
    assert set(paired(first, second)) == {
        ("add_1", "add_2", "nearest"),
        ("add_2", "add_1", "nearest"),
    }


def test_one_value_of_a_shape_is_paired_by_it() -> None:
    """Shapes come before sizes: a reshaped value is found when no other has its size."""
    first = compared({"a": [[1.0, 2.0]], "b": [1.0, 2.0]})
    second = compared({"c": [9.0, 9.0], "d": [[9.0, 9.0]]})
    assert set(paired(first, second)) == {("a", "d", "shape"), ("b", "c", "shape")}
    flat = compared({"c": [9.0, 9.0, 9.0]})
    assert paired(compared({"a": [[1.0, 2.0, 3.0]]}), flat) == [("a", "c", "shape")]


@pytest.mark.parametrize("near", [True, False])
def test_the_nearest_are_paired_up_to_a_distance(*, near: bool) -> None:
    """Below `SAME_VALUE_DISTANCE` two values may be one; from there on they are not paired."""
    error = SAME_VALUE_DISTANCE * (0.99 if near else 1.01)
    first = compared({"a": [1.0, 0.0], "b": [0.0, 1.0]})
    second = compared({"c": [1.0, error], "d": [0.0, 50.0], "e": [0.0, -50.0]})
    assert paired(first, second) == ([("a", "c", "nearest")] if near else [])


def test_a_value_has_one_partner() -> None:
    """The nearest pair is taken first; what is left is paired among itself."""
    first = compared({"a": [1.0, 0.0], "b": [1.0, 0.1]})
    second = compared({"c": [1.0, 0.09], "d": [1.0, 0.3]})
    assert paired(first, second) == [("a", "d", "nearest"), ("b", "c", "nearest")]


def test_what_finds_no_partner_is_tried_in_the_module_around() -> None:
    """A value that leaves the block in one file, and only the root in the other."""
    first, second = compared({"a": [1.0, 2.0]}), compared({"b": [1.0, 2.0]}, keys=(ROOT,))
    (pair,) = ValuePairing(first, second).pairs
    assert (pair.key, pair.keys, pair.paired_by) == (ROOT, (ROOT,), "shape")


def test_only_names_count_without_a_boundary() -> None:
    """Where fused nodes do some of a module's work, what leaves it may be something else."""
    fused = {BLOCK: ["FusedMatMul"]}
    first = compared({"a": [1.0, 2.0], "h": [1.0]}, keys=(BLOCK,))
    second = compared({"b": [1.0, 2.0], "h": [1.0]}, keys=(BLOCK,), shared_work=fused)
    assert paired(first, second) == [("h", "h", "name")]
    assert reasons(first, second) == [
        [("a", "in the other file FusedMatMul does some of its work")],
        [("b", "FusedMatMul does some of the module's work")],
    ]


def test_why_a_value_has_no_partner() -> None:
    """The module is not in the other file, or nothing there looks like the value."""
    lone = compared({"a": [1.0]}, keys=("/head",), depths={"/head": 1, **DEPTHS})
    assert reasons(lone, compared({}))[0] == [("a", "the other file has no nodes of this module")]
    long, short = compared({"a": [1.0, 2.0]}), compared({"b": [1.0]})
    ((_, reason),) = reasons(long, short)[0]
    assert reason.startswith("no value of this shape")


def test_constants_are_paired_if_they_are_real() -> None:
    """Integers without an input are shapes; a real constant is compared, but is never missed."""
    ints = ComparedValues(
        compared({"i": [1.0]}, fixed=frozenset("i")).boundaries,
        {"i": ValueSummary.of(np.array([1]))},
        (),
    )
    assert paired(ints, ints) == []
    reals = compared({"c": [1.0]}, fixed=frozenset("c"))
    assert paired(reals, reals) == [("c", "c", "name")]
    assert reasons(reals, compared({})) == [[], []]


@pytest.mark.parametrize("size", [1, SKETCH_SIZE - 1, SKETCH_SIZE, 10 * SKETCH_SIZE + 3])
def test_a_sketch_is_small(size: int) -> None:
    """It has the elements of the same places in all arrays of one size."""
    array = np.arange(size, dtype=np.float16)
    summary = ValueSummary.of(array)
    assert summary.size == size
    assert min(size, SKETCH_SIZE) <= summary.sketch.size < 2 * SKETCH_SIZE
    assert summary.distance(ValueSummary.of(array)) == 0


def test_distances_of_odd_values() -> None:
    """Other sizes, zeros, numbers that are none, and text."""
    zero, one = (ValueSummary.of(np.array([number, 0.0])) for number in (0.0, 1.0))
    assert one.distance(ValueSummary.of(np.ones(3))) == np.inf
    assert zero.distance(one) == np.inf
    assert zero.distance(zero) == 0
    assert one.distance(ValueSummary.of(np.array([np.nan, 0.0]))) == 0
    text = ValueSummary.of(np.array(["a", "b"], object))
    assert (text.is_real, text.distance(text)) == (False, 0)
