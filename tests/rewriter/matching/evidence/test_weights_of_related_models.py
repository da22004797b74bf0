"""Weights of a model that has other modules than the recorded one, or fewer, or renamed ones."""

import numpy as np
import pytest

from tests.helpers.matched_weights import matched, recorded
from tests.helpers.values import noise

W, OTHER, THIRD = (noise(6, 4, seed=seed) for seed in range(3))
NEW = noise(6, 4, seed=9)
ONES = np.ones((6, 4), np.float32)


def test_a_weight_that_nothing_recorded_can_be_is_new() -> None:
    """All recorded weights of its size are in the file, under their names or others."""
    tensors = (recorded(W, "a.w", "a.w"), recorded(OTHER, "b.w", "b.w"))
    actual = matched({"a.w": W, "v": OTHER, "u": NEW}, *tensors)
    assert actual.new == {"u"}
    assert (actual.match.rounded, actual.match.misnamed) == (False, False)
    assert matched({"a.w": W, "u": NEW}, *tensors).new == set()


def test_what_was_merged_is_in_the_file() -> None:
    """No part of it is missing."""
    part = noise(3, 4)
    arrays = {"both": np.concatenate([W, part]), "u": NEW}
    assert matched(arrays, recorded(W, "a.w"), recorded(part, "c.w")).new == {"u"}


def test_a_parameter_without_recorded_numbers_may_be_any_weight() -> None:
    """A tensor that is no parameter is not a weight of the model."""
    tensor = recorded(W, "a.w", "a.w")
    assert matched({"a.w": W, "u": NEW}, tensor, recorded(None, "k")).new == {"u"}
    assert matched({"a.w": W, "u": NEW}, tensor, recorded(None, "k", "b.w")).new == set()


def test_a_missing_weight_of_another_size_or_of_equal_numbers_does_not_count() -> None:
    """Nothing was folded into them."""
    tensor = recorded(W, "a.w", "a.w")
    for missing in (noise(7, 11), ONES):
        assert matched({"a.w": W, "u": NEW}, tensor, recorded(missing, "b.v", "b.v")).new == {"u"}


@pytest.mark.parametrize(("kind", "rounded"), [(np.float16, True), (np.float32, False)])
def test_a_quantised_file_has_no_new_weights(kind: type, rounded: bool) -> None:
    """It has scales, and weights that are not recognised; weights of a few numbers do not tell."""
    tensors = (recorded(W, "a.w", "a.w"), recorded(W[0, :3], "a.v", "a.v"))
    actual = matched(
        {"a.w": W.astype(kind), "a.v": W[0, :3].astype(np.float16), "u": NEW}, *tensors
    )
    assert actual.match.rounded is rounded
    assert actual.new == (set() if rounded else {"u"})


def test_weights_of_equal_numbers_are_told() -> None:
    """Many modules have such."""
    tensors = (recorded(W, "a.w", "a.w"), recorded(ONES, "a.v", "a.v"))
    assert matched({"a.w": W, "a.v": ONES}, *tensors).plain == {"a.v"}


THREE = (
    recorded(W, "a.w", "a.w"),
    recorded(OTHER, "b.w", "b.w"),
    recorded(THIRD, "c.w", "c.w"),
)


def test_names_that_moved_by_a_layer_do_not_count() -> None:
    """The first layer was removed; numbers tell, and names of small weights still do."""
    small = np.array([1.0, 2.0, 3.0], np.float32)
    tensors = (*THREE, recorded(small, "a.v", "a.v"), recorded(ONES, "b.v", "b.v"))
    actual = matched({"a.w": OTHER, "b.w": THIRD, "a.v": small * 2, "b.v": ONES}, *tensors)
    assert actual.candidates == {"a.w": {"b.w"}, "b.w": {"c.w"}, "a.v": {"a.v"}}
    assert actual.match.misnamed is True


def test_layers_that_changed_their_places_are_found_by_a_sample() -> None:
    """All recorded names are in the file."""
    actual = matched({"a.w": OTHER, "b.w": W, "c.w": THIRD}, *THREE)
    assert actual.candidates == {"a.w": {"b.w"}, "b.w": {"a.w"}, "c.w": {"c.w"}}
    assert actual.match.misnamed is True


@pytest.mark.parametrize("missing", [True, False])
def test_all_weights_are_compared_where_a_recorded_name_is_missing(missing: bool) -> None:
    """Else a sample is: every second one of seventeen."""
    arrays = {f"a.w{n}": noise(3, 4, seed=n) for n in range(17)}
    last = noise(3, 4, seed=17)
    tensors = [recorded(array, name, name) for name, array in arrays.items()]
    tensors += [recorded(last, "a.w17", "a.w17")] * missing
    actual = matched(arrays | {"a.w1": last if missing else arrays["a.w3"]}, *tensors)
    assert actual.candidates["a.w1"] == {"a.w17" if missing else "a.w1"}


def coarse(array: np.ndarray) -> np.ndarray:
    """Numbers in three steps: the direction is turned by about 20 degrees."""
    return np.round(array / np.abs(array).max() * 1.6)


def test_codes_may_be_turned_further_than_real_numbers() -> None:
    """If they are no other weight; a weight that is merged of others is known."""
    tensor = recorded(W, "a.w", "a.w")
    assert matched({"q": coarse(W).astype(np.int8)}, tensor).candidates == {"q": {"a.w"}}
    assert matched({"q": coarse(W)}, tensor).candidates == {}
