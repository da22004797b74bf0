"""Concatenated weights are peeled, parts of a split one are put together again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelexport.hierarchy.sketches import PROJECTIONS
from modelexport.rewriter.graph.indexed_graph import IndexedGraph
from modelexport.rewriter.matching.evidence.merged_weights import match_concatenated, match_split
from tests.helpers.values import indexed, noise
from tests.helpers.weights import recorded_by_size


@given(
    st.lists(st.integers(2, 6), min_size=2, max_size=4),
    st.integers(4, 8),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_a_merged_weight_is_peeled(
    widths: list[int], columns: int, by_rows: bool, transposed: bool, seed: int
) -> None:
    """Whatever is laid side by side is found again, in its order, transposed or not."""
    numbers = np.random.default_rng(seed)
    parts = [numbers.standard_normal((4 * width, columns)).astype(np.float32) for width in widths]
    recorded = recorded_by_size([part.T.copy() if transposed else part for part in parts])
    whole = np.concatenate(parts, axis=0)
    actual = match_concatenated(whole if by_rows else whole.T.copy(), recorded)
    assert actual == [[n] for n in range(len(parts))]
    other = numbers.standard_normal(whole.shape).astype(np.float32)
    assert match_concatenated(other, recorded) == []


def test_a_merged_bias_is_peeled() -> None:
    """A vector is made of vectors: few numbers as they are, more in half precision, too."""
    for few, expected in ((PROJECTIONS, []), (PROJECTIONS + 1, [[0], [1], [1]])):
        parts = [noise(32), noise(few, seed=1)]
        recorded = recorded_by_size(parts)
        whole = np.concatenate([*parts, parts[1]])
        assert match_concatenated(whole, recorded) == [[0], [1], [1]]
        assert match_concatenated(whole.astype(np.float16), recorded) == expected
        assert match_concatenated(noise(len(whole), seed=2), recorded) == []


def test_a_merged_matrix_of_few_numbers_is_peeled_in_half_precision() -> None:
    """A matrix needs no exact numbers: what is read beside it tells it, too."""
    parts = [noise(4, PROJECTIONS), noise(1, PROJECTIONS, seed=1)]
    whole = np.concatenate(parts).astype(np.float16)
    assert match_concatenated(whole, recorded_by_size(parts)) == [[0], [1]]


def test_a_bias_of_other_numbers_is_not_peeled() -> None:
    """Two numbers have the direction of any two others, and equal numbers of all equal ones."""
    parts = [noise(2, seed=1), noise(2, seed=2)]
    assert match_concatenated(np.concatenate(parts), recorded_by_size(parts)) == [[0], [1]]
    larger = np.concatenate([3 * part for part in parts])
    assert match_concatenated(larger, recorded_by_size(parts)) == []
    ones = np.ones(3, np.float32)
    assert match_concatenated(np.concatenate([ones, ones]), recorded_by_size([ones])) == []


def test_cubes_are_not_peeled() -> None:
    """A cube is made of nothing, nor is what has no columns."""
    part = noise(6, 4)
    recorded = recorded_by_size([part])
    assert match_concatenated(np.concatenate([part, part]), recorded) == [[0], [0]]
    assert match_concatenated(np.concatenate([part, part]).ravel(), recorded) == [[0], [0]]
    assert match_concatenated(np.stack([part, part]), recorded) == []
    assert match_concatenated(np.zeros((3, 0), np.float32), recorded) == []


def test_a_part_may_be_one_of_several() -> None:
    """Equal recorded weights are all candidates."""
    part, other = noise(6, 4), noise(6, 4, seed=1)
    recorded = recorded_by_size([part, other, part])
    assert match_concatenated(np.concatenate([other, part]), recorded) == [[1], [0, 2]]


def test_a_weight_is_no_part_of_itself() -> None:
    """A recorded weight of the whole size takes nothing off."""
    part = noise(6, 4)
    assert match_concatenated(part, recorded_by_size([part])) == []


def test_what_is_left_over_makes_it_no_merged_weight() -> None:
    """Recorded weights at the first rows are not enough, nor what reaches beyond the end."""
    part, rest = noise(6, 4), noise(3, 4, seed=1)
    recorded = recorded_by_size([part, noise(5, 4, seed=2)])
    assert match_concatenated(np.concatenate([part, part, rest]), recorded) == []
    longer = recorded_by_size([part, np.concatenate([rest, rest])])
    assert match_concatenated(np.concatenate([part, rest]), longer) == []


def test_what_is_cut_off_is_no_recorded_weight() -> None:
    """The last rows are the first ones of a recorded weight whose other rows hold zeros."""
    part, rest = noise(6, 4), noise(3, 4, seed=1)
    padded = np.concatenate([rest, np.zeros_like(rest)])
    assert match_concatenated(np.concatenate([part, rest]), recorded_by_size([part, padded])) == []


@pytest.mark.parametrize(("sizes", "expected"), [(16, True), (17, False)])
def test_so_many_sizes_are_tried_at_an_edge(sizes: int, expected: bool) -> None:
    """Sizes that fit the width, in the order in which they were recorded."""
    part = noise(30, 4)
    others = [noise(n, 4, seed=n) for n in range(1, sizes)]
    unfitting = [noise(1, n) for n in (5, 6, 7)]
    recorded = recorded_by_size([*unfitting, *others, part])
    actual = match_concatenated(np.concatenate([part, part]), recorded)
    label = sizes - 1 + len(unfitting)
    assert actual == ([[label], [label]] if expected else [])


def test_the_order_of_sizes_does_not_lose_a_part() -> None:
    """Each edge is tried with every size anew."""
    small, large = noise(3, 4), noise(6, 4, seed=1)
    recorded = recorded_by_size([small, large])
    assert match_concatenated(np.concatenate([large, small, large]), recorded) == [[1], [0], [1]]


def graph_of(*inputs: str) -> IndexedGraph:
    """Products of `x` with some weights, or of the value in `value@weight`."""
    lines = []
    for n, entry in enumerate(inputs):
        value, _, weight = entry.rpartition("@")
        lines.append(f"r{n} = MatMul ({value or 'x'}, {weight})")
    weights = sorted(set("".join(inputs)) - set("@xy"))
    declared = ", ".join(f"float[1] {name} = {{1.0}}" for name in weights)
    text = f"g (float[2, 2] x, float[2, 2] y) => (float[2, 2] r0) <{declared}>"
    return indexed(text + " {" + "\n".join(lines) + "}")


def split_of(
    graph: IndexedGraph, arrays: dict[str, np.ndarray], *whole: np.ndarray
) -> list[tuple[str, list[int]]]:
    """The names of parts, run together, and the labels of the whole."""
    numbered = {graph.value_of("", name): array for name, array in arrays.items()}
    return sorted(
        ("".join(graph.value_names[value][1] for value in parts), labels)
        for parts, labels in match_split(numbered, graph, recorded_by_size(whole))
    )


WHOLE = noise(6, 12)


@pytest.mark.parametrize("axis", [0, 1])
def test_parts_that_share_an_input_are_put_together(axis: int) -> None:
    """Along either axis, in any order."""
    b, a, c = np.split(WHOLE, 3, axis)
    actual = split_of(graph_of("a", "b", "c"), {"a": a, "b": b, "c": c}, WHOLE)
    assert actual == [("abc", [0])]


def test_parts_of_several_sizes_are_put_together() -> None:
    """Only the extents along the other axis must be equal."""
    a, b = np.split(WHOLE, [5], axis=1)
    assert split_of(graph_of("a", "b"), {"a": a, "b": b}, WHOLE) == [("ab", [0])]


def test_parts_that_nothing_reads_together_are_none() -> None:
    """They must share the other input, which must be computed."""
    a, b = np.split(WHOLE, 2, axis=1)
    arrays = {"a": a, "b": b}
    assert split_of(graph_of("x@a", "y@b"), arrays, WHOLE) == []
    assert split_of(graph_of("c@a", "c@b"), arrays, WHOLE) == []


@pytest.mark.parametrize(("parts", "expected"), [(4, True), (5, False)])
def test_at_most_four_parts_are_put_together(parts: int, expected: bool) -> None:
    """More would have too many orders."""
    whole = noise(6, 20)
    names = "abcde"[:parts]
    arrays = dict(zip(names, np.split(whole[:, : 4 * parts], parts, axis=1), strict=True))
    actual = split_of(graph_of(*names), arrays, whole[:, : 4 * parts])
    assert actual == ([(names, [0])] if expected else [])


def test_only_neighbours_are_put_together() -> None:
    """Of three weights that share an input the first two, or the last two."""
    a, b = np.split(WHOLE, 2, axis=1)
    other = noise(6, 6, seed=3)
    graph = graph_of("a", "b", "c")
    assert split_of(graph, {"a": a, "b": b, "c": other}, WHOLE) == [("ab", [0])]
    assert split_of(graph, {"a": other, "b": a, "c": b}, WHOLE) == [("bc", [0])]
    assert split_of(graph, {"a": a, "b": other, "c": b}, WHOLE) == []


def test_longer_runs_come_first_and_a_part_is_used_once() -> None:
    """Three quarters of a whole are not taken for another recorded weight."""
    a, b, c = np.split(WHOLE, 3, axis=1)
    arrays = {"a": a, "b": b, "c": c}
    whole, two = WHOLE, WHOLE[:, :8]
    assert split_of(graph_of("a", "b", "c"), arrays, two, whole) == [("abc", [1])]
    assert split_of(graph_of("a", "b", "c"), arrays, two) == [("ab", [0])]


def test_the_first_of_equally_long_runs_is_taken() -> None:
    """Each part is used once, so that a later run that shares one is none."""
    whole = noise(6, 16)
    arrays = dict(zip("abcd", np.split(whole, 4, axis=1), strict=True))
    graph = graph_of("a", "b", "c", "d")
    assert split_of(graph, arrays, whole[:, :12], whole[:, 4:]) == [("abc", [0])]


def test_a_part_that_two_values_read_is_put_together_once() -> None:
    """Two inputs may share the same weights."""
    a, b = np.split(WHOLE, 2, axis=1)
    graph = graph_of("x@a", "x@b", "y@a", "y@b")
    assert split_of(graph, {"a": a, "b": b}, WHOLE) == [("ab", [0])]


def test_several_weights_may_be_split() -> None:
    """Each by the nodes that share an input."""
    other = noise(6, 10, seed=5)
    parts = (*np.split(WHOLE, 2, axis=1), *np.split(other, 2, axis=1))
    arrays = dict(zip("abcd", parts, strict=True))
    graph = graph_of("x@a", "x@b", "y@c", "y@d")
    assert split_of(graph, arrays, WHOLE, other) == [("ab", [0]), ("cd", [1])]


def test_vectors_are_no_parts() -> None:
    """Only matrices are split between nodes that share an input."""
    a, b = np.split(WHOLE.ravel(), 2)
    assert split_of(graph_of("a", "b"), {"a": a, "b": b}, WHOLE.ravel()) == []


def test_parts_of_no_recorded_size_are_not_tried() -> None:
    """Nor is a single weight a part of anything."""
    a, b = np.split(WHOLE, 2, axis=1)
    assert split_of(graph_of("a", "b"), {"a": a, "b": b}, WHOLE[:, :11]) == []
    assert split_of(graph_of("a"), {"a": a}, a) == []
    assert split_of(graph_of("a", "b"), {"a": a, "b": b}, noise(6, 12, seed=4)) == []


def test_parts_that_do_not_fit_each_other_are_none() -> None:
    """A matrix of one height and one of another may have the size of a recorded one."""
    a, b = noise(6, 6), noise(9, 4)
    assert split_of(graph_of("a", "b"), {"a": a, "b": b}, noise(6, 12)) == []
