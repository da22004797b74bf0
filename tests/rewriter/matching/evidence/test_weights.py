"""Which recorded weights the weights of a file are: by name, by content, and whose they are."""

import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser

from modelexport.hierarchy.fingerprints import weight_fingerprint
from modelexport.hierarchy.record import Op, Tensor
from modelexport.rewriter.matching.evidence.weight_match import WeightMatch
from tests.helpers.matched_weights import Arrays, Matched, file_of, matched, record_of, recorded
from tests.helpers.values import noise

W, OTHER = noise(6, 4), noise(6, 4, seed=1)


def test_the_name_of_a_parameter_counts_whatever_it_holds() -> None:
    """A model that was trained further keeps its names; that the numbers differ is noted."""
    actual = matched({"a.w": OTHER}, recorded(W, "a.w", "a.w"))
    assert actual.candidates == {"a.w": {"a.w"}}
    assert (actual.match.compared, actual.match.differing) == (1, ("a.w",))


def test_a_name_of_the_exporters_making_counts_if_the_numbers_agree() -> None:
    """Another file may call another weight so."""
    tensor = recorded(W, "val_1", "a.w")
    assert matched({"val_1": W}, tensor).candidates == {"val_1": {"val_1"}}
    actual = matched({"val_1": OTHER}, tensor)
    assert (actual.candidates, actual.match.compared) == ({}, 0)


@pytest.mark.parametrize(("change", "expected"), [(0.9e-5, True), (1.1e-5, False)])
def test_numbers_agree_to_a_hundred_thousandth(change: float, expected: bool) -> None:
    """Of the greatest one: sums in single precision lose that."""
    small = np.array([-1.0, 0.5, 1.0])  # too few elements to be found by content
    moved = small.copy()
    moved[0] -= change
    assert bool(matched({"val_1": moved}, recorded(small, "val_1")).candidates) is expected


def test_rounded_numbers_agree_by_their_direction() -> None:
    """A weight that is stored in half precision has another sum, and the same direction."""
    tensor = recorded(W, "val_1", "a.w")
    assert matched({"val_1": W.astype(np.float16)}, tensor).candidates == {"val_1": {"val_1"}}
    other = matched({"val_1": OTHER.astype(np.float16)}, tensor)
    assert other.candidates == {}


@pytest.mark.parametrize(
    ("number", "stored", "expected"),
    [(1.0, 1.0, True), (0.1, 0.1, True), (0.1, 0.101, False), (-1e38, -65504.0, False)],
)
def test_equal_numbers_agree_where_they_round_to_the_stored_one(
    number: float, stored: float, expected: bool
) -> None:
    """A scale of a norm before training has no direction, and half precision rounds it."""
    weight = recorded(np.full((6, 4), number, np.float32), "a.w", "a.w")
    actual = matched({"a.w": np.full((6, 4), stored, np.float16)}, weight)
    assert actual.match.differing == (() if expected else ("a.w",))


@pytest.mark.parametrize("array", [noise(6, 5), np.zeros(0, np.float32)])
def test_a_weight_of_another_size_is_another_one(array: np.ndarray) -> None:
    """Whatever it is called."""
    assert matched({"a.w": array}, recorded(W, "a.w", "a.w")).candidates == {}


def test_a_recorded_weight_without_a_fingerprint_is_not_matched() -> None:
    """Strings have none, and nothing is known of their size."""
    assert matched({"a.w": W}, recorded(None, "a.w", "a.w")).candidates == {}


def test_a_weight_is_found_by_its_numbers() -> None:
    """Under another name, transposed, rounded or scaled."""
    tensors = (recorded(W, "a.w", "a.w"), recorded(OTHER, "b.w", "b.w"))
    arrays = {"v1": W.T.copy(), "v2": (OTHER * 3).astype(np.float16), "v3": noise(6, 4, seed=5)}
    assert matched(arrays, *tensors).candidates == {"v1": {"a.w"}, "v2": {"b.w"}}


@pytest.mark.parametrize(("size", "expected"), [(8, True), (7, False)])
def test_a_small_weight_is_not_found_by_its_numbers(size: int, expected: bool) -> None:
    """Other weights may hold the same few."""
    array = noise(size)
    actual = matched({"v": array}, recorded(array, "a.w", "a.w"))
    assert bool(actual.candidates) is expected
    assert actual.match.distinctive_elements == (size if expected else 0)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full(24, 2.0, np.float32), False),
        (np.array([2.0, *[1.0] * 22, 2.0]), True),
        (np.arange(24) > 11, False),
        (np.arange(24) % 5, True),
        ((np.arange(24) % 5).astype(np.uint8), True),
        (np.array(["a"] * 24, object), False),
    ],
    ids=["plain", "equal ends", "bool", "int", "unsigned", "strings"],
)
def test_weights_of_different_numbers_are_distinctive(array: np.ndarray, expected: bool) -> None:
    """All-ones scales are found in every layer; bools and strings are no numbers."""
    kept = array.astype(np.float32) if array.dtype.kind != "O" else W
    actual = matched({"v": array}, recorded(kept, "a.w", "a.w"))
    assert actual.match.distinctive_elements == (array.size if expected else 0)
    assert bool(actual.candidates) is expected


def test_a_weight_that_cannot_be_read_is_not_found() -> None:
    """Nor compared, where its name is that of a parameter."""
    record = record_of([recorded(W, "a.w", "a.w"), recorded(OTHER, "val_1")])
    actual = Matched(file_of({"a.w": W, "val_1": OTHER, "v": W}), record, lambda _: None)
    assert actual.candidates == {"a.w": {"a.w"}}
    assert actual.match.differing == ("a.w",)
    assert actual.match.distinctive_elements == 24


def test_a_named_weight_without_numbers_differs() -> None:
    """What is not finite cannot be the recorded numbers."""
    nothing = np.full((6, 4), np.nan, np.float32)
    actual = matched({"a.w": nothing}, recorded(W, "a.w", "a.w"))
    assert actual.match.differing == ("a.w",)


def quantised(zero_point: int) -> tuple[Arrays, list[onnx.NodeProto]]:
    """A weight in 8 bits with a scale for each row, and the node that reads it."""
    scale = np.abs(W).max(axis=1) / np.geomspace(8, 100, 6)
    stored = (np.round(W / scale[:, None]) + zero_point).astype(np.int8)
    arrays = {"q": stored, "s": scale, "z": np.full(6, zero_point, np.int8)}
    inputs = ["q", "s", "z"] if zero_point else ["q", "s"]
    nodes = [
        helper.make_node("Identity", ["q"], ["i"]),
        helper.make_node("DequantizeLinear", inputs, ["d"], axis=0),
    ]
    return arrays, nodes


@pytest.mark.parametrize("zero_point", [0, 20])
def test_a_quantised_weight_is_read_as_its_operator_reads_it(zero_point: int) -> None:
    """With a scale of its own in each row the stored numbers have another direction."""
    arrays, nodes = quantised(zero_point)
    record = record_of([recorded(W, "a.w", "a.w")])
    assert Matched(file_of(arrays, nodes), record).candidates == {"q": {"a.w"}}
    assert Matched(file_of(arrays, nodes[:1]), record).candidates == {}


def test_the_scale_of_a_quantised_weight_is_looked_up_in_its_graph() -> None:
    """A branch may read a weight and a scale from outside."""
    arrays, _ = quantised(0)
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (bool c, float[6, 4] x) => (float[6, 4] y) {
            y = If (c) <
                then_branch = t () => (float[6, 4] p) { p = DequantizeLinear <axis = 0> (q, s) },
                else_branch = e () => (float[6, 4] n) { n = Neg (x) }
            >
        }"""
    )
    branch = model.graph.node[0].attribute[0].g
    model.graph.initializer.append(numpy_helper.from_array(arrays["s"], "s"))
    branch.initializer.append(numpy_helper.from_array(arrays["q"], "q"))
    actual = Matched(model, record_of([recorded(W, "a.w", "a.w")]))
    assert actual.candidates == {"q": {"a.w"}}


def test_a_scale_that_is_computed_is_not_known() -> None:
    """The weight stays as it is stored."""
    arrays, nodes = quantised(0)
    scale = arrays.pop("s")
    assert scale.size == 6
    computed = helper.make_node("Neg", ["x"], ["s"])
    record = record_of([recorded(W, "a.w", "a.w")])
    assert Matched(file_of(arrays, [*nodes, computed]), record).candidates == {}


@pytest.mark.parametrize(("kind", "zero_point"), [(np.int8, 0), (np.uint8, 128)])
def test_whole_numbers_that_are_multiplied_as_they_are_have_a_direction(
    kind: type, zero_point: int
) -> None:
    """One scale for all does not turn it; the operator that reads them does not say any."""
    stored = (np.round(W / np.abs(W).max() * 100) + zero_point).astype(kind)
    node = helper.make_node("MatMulInteger", ["x", "q"], ["y"])
    record = record_of([recorded(W, "a.w", "a.w")])
    assert Matched(file_of({"q": stored}, [node]), record).candidates == {"q": {"a.w"}}


def test_real_numbers_are_not_dequantised() -> None:
    """The scale of a quantised weight is a weight of its own."""
    scale = noise(24)
    stored = np.arange(48, dtype=np.int8).reshape(24, 2)
    node = helper.make_node("DequantizeLinear", ["q", "s"], ["d"], axis=0)
    record = record_of([recorded(scale, "a.v", "a.v")])
    assert Matched(file_of({"q": stored, "s": scale}, [node]), record).candidates == {"s": {"a.v"}}


def test_a_rounded_weight_with_a_recorded_name_is_that_one() -> None:
    """Another one that holds the same numbers is not asked for."""
    record = record_of([recorded(W, "one"), recorded(W, "two")])
    assert Matched(file_of({"two": W.astype(np.float16)}), record).candidates == {"two": {"two"}}


def test_merged_and_split_weights_are_matched() -> None:
    """Two in one matrix, and one in two that nodes read with the same input."""
    left, right = np.split(OTHER, 2, axis=1)
    arrays = {"both": np.concatenate([W, noise(3, 4)]), "l": left, "r": right}
    tensors = (recorded(W, "a.w"), recorded(noise(3, 4), "c.w"), recorded(OTHER, "b.w"))
    actual = matched(arrays, *tensors)
    assert actual.merged_from == {"both": {"a.w", "c.w"}}
    assert actual.candidates == {"l": {"b.w"}, "r": {"b.w"}}
    elements = sum(array.size for array in arrays.values())
    assert actual.match.matched_elements == actual.match.distinctive_elements == elements


def test_elements_of_distinctive_weights_are_counted() -> None:
    """Named ones count whatever their size; others if they are distinctive."""
    scalar, unknown = np.ones((), np.float32), noise(10, seed=7)
    arrays = {"a.w": W, "b.w": scalar, "v": OTHER, "u": unknown, "one": scalar}
    tensors = (recorded(W, "a.w", "a.w"), recorded(scalar, "b.w", "b.w"), recorded(OTHER, "c.w"))
    actual = matched(arrays, *tensors).match
    assert actual.matched_elements == 24 + 1 + 24
    assert actual.distinctive_elements == 24 + 1 + 24 + 10
    assert actual.matched_share == 49 / 59


def test_the_share_of_nothing_is_nothing() -> None:
    """A file without weights has none of them matched."""
    assert matched({}).match.matched_share == 0
    assert WeightMatch().matched_share == 0
    assert not WeightMatch().retrained


@pytest.mark.parametrize(("size", "compared"), [(8, 1), (7, 0)])
def test_small_weights_tell_no_training(size: int, compared: int) -> None:
    """A scale or a counter changes easily."""
    actual = matched({"a.w": noise(size, seed=1)}, recorded(noise(size), "a.w", "a.w")).match
    assert actual.compared == compared


@pytest.mark.parametrize(("weights", "compared"), [(16, 16), (17, 9), (32, 16), (33, 11)])
def test_a_sample_of_named_weights_is_compared(weights: int, compared: int) -> None:
    """Sixteen at most, evenly spread."""
    arrays = {f"a.w{n}": noise(3, 4, seed=n) for n in range(weights)}
    tensors = [recorded(array, name, name) for name, array in arrays.items()]
    changed = {name: array + 1 for name, array in arrays.items()}
    actual = matched(changed, *tensors).match
    assert actual.compared == compared
    step = -(-weights // 16)
    assert actual.differing == tuple(f"a.w{n}" for n in range(0, weights, step))


@pytest.mark.parametrize(("differing", "expected"), [(2, True), (1, False)])
def test_a_model_is_retrained_if_most_of_its_weights_differ(differing: int, expected: bool) -> None:
    """More than half of those that were compared."""
    arrays = {f"a.w{n}": noise(3, 4, seed=n) for n in range(3)}
    tensors = [recorded(array, name, name) for name, array in arrays.items()]
    changed = {name: array + (n < differing) for n, (name, array) in enumerate(arrays.items())}
    actual = matched(changed, *tensors).match
    assert len(actual.differing) == differing
    assert actual.retrained is expected


def test_half_of_the_weights_is_not_most_of_them() -> None:
    """An even count may differ in half."""
    assert not WeightMatch(compared=4, differing=("a", "b")).retrained
    assert WeightMatch(compared=4, differing=("a", "b", "c")).retrained
    assert WeightMatch(compared=1, differing=("a",)).retrained


def test_weights_found_by_content_are_compared_if_not_rounded() -> None:
    """One in proportion to the recorded one was trained, or folded; a rounded one was rounded."""
    tensors = (recorded(W, "a.w", "a.w"), recorded(OTHER, "b.w", "b.w"))
    actual = matched({"v": W, "u": OTHER * 2}, *tensors).match
    assert (actual.compared, actual.differing) == (2, ("u",))
    rounded = matched({"v": W.astype(np.float16), "u": OTHER * 2}, *tensors).match
    assert (rounded.compared, rounded.differing) == (1, ("u",))


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["a.w", "v"])
def test_weights_in_32_bits_may_hold_numbers_of_16(name: str, kind: str) -> None:
    """Under their own names and others: they were rounded, not trained."""
    tensors = (recorded(W, "a.w", "a.w"), recorded(OTHER, "b.w", "b.w"))
    short = W.astype(kind).astype(np.float32)
    actual = matched({name: short}, *tensors)
    assert actual.candidates == {name: {"a.w"}}
    assert (actual.match.compared, actual.match.differing) == (1, ())
    assert actual.match.has_few_digits
    assert not actual.match.are_recorded_exactly
    exact = matched({name: W}, *tensors).match
    assert exact.are_recorded_exactly
    assert not exact.has_few_digits
    others = {name: short, "u": OTHER[:, :3].copy()}
    assert matched(others, *tensors).new == set()


@pytest.mark.parametrize("name", ["a.w", "v"])
def test_how_weights_are_stored_is_told(name: str) -> None:
    """In 16 bits and rounded, or in codes. Numbers that need no more bits were not rounded."""
    tensors = (recorded(W, "a.w", "a.w"), recorded(OTHER, "b.w", "b.w"))
    short = W.astype(np.float16)
    assert matched({name: short}, *tensors).match.halved
    assert not matched({name: W}, *tensors).match.halved
    assert not matched({name: short}, recorded(short, "a.w", "a.w")).match.halved
    codes = np.arange(-60, 60, dtype=np.int8).reshape(8, 15)
    assert [matched({name: w}, *tensors).match.coded for w in (codes, W)] == [True, False]


def test_named_weights_are_reported_before_those_found_by_content() -> None:
    """Both samples are one list."""
    tensors = (recorded(W, "a.w", "a.w"), recorded(OTHER, "b.w", "b.w"))
    actual = matched({"v": OTHER * 2, "a.w": W + 1}, *tensors).match
    assert (actual.compared, actual.differing) == (2, ("a.w", "v"))


def test_a_weight_that_holds_the_numbers_of_one_candidate_does_not_differ() -> None:
    """Tied and transposed weights are both candidates."""
    tensors = (recorded(W, "a.w", "a.w"), recorded(W.T.copy(), "b.w", "b.w"))
    actual = matched({"v": np.round(W, 6)}, *tensors)
    assert actual.candidates == {"v": {"a.w", "b.w"}}
    assert (actual.match.compared, actual.match.differing) == (1, ())


def test_the_owner_is_the_module_of_all_candidates() -> None:
    """None where they are of several modules, or where one is no parameter."""
    third = noise(6, 4, seed=2)
    tensors = (
        recorded(W, "a.w", "a.w"),
        recorded(W.T.copy(), "t", "a.v"),
        recorded(OTHER, "b.w", "b.w"),
        recorded(OTHER.T.copy(), "c.w", "c.w"),
        recorded(third, "k"),
    )
    actual = matched({"one": W, "two": OTHER, "three": third}, *tensors)
    assert actual.candidates["two"] == {"b.w", "c.w"}
    assert actual.owners == {"one": "a"}


def test_a_parameter_of_the_root_is_the_roots() -> None:
    """Its path is empty, and it is known all the same."""
    assert matched({"w": W}, recorded(W, "w", "w")).owners == {"w": ""}


def test_a_parameter_that_the_plain_file_lacks_tells_the_owner() -> None:
    """Another exporter keeps what was folded away; no recorded op reads it."""
    absent = [Tensor("b.w", "b.w", weight_fingerprint(W))]
    actual = matched({"v": W}, recorded(OTHER, "a.w", "a.w"), absent=absent)
    assert actual.candidates == {}
    assert actual.owners == {"v": "b"}
    assert actual.match.matched_elements == 24


def test_a_candidate_that_the_plain_file_has_is_kept_beside_absent_ones() -> None:
    """The recorded graph knows only its own."""
    absent = [Tensor("a.v", "a.v", weight_fingerprint(W.T.copy()))]
    actual = matched({"v": W}, recorded(W, "a.w", "a.w"), absent=absent)
    assert actual.candidates == {"v": {"a.w"}}
    assert actual.owners == {"v": "a"}


def test_weights_in_subgraphs_are_matched_in_theirs() -> None:
    """A weight of a branch has the name that its graph gives it; functions have none."""
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
        g (bool c, float[6, 6] x) => (float[6, 4] y) {
            y = If (c) <
                then_branch = t () => (float[6, 4] p) { p = MatMul (x, w) },
                else_branch = e () => (float[6, 4] n) { n = Neg (x) }
            >
        }
        <domain: "own", opset_import: ["" : 17]> f (v) => (r) { r = Identity (v) }"""
    )
    model.graph.node[0].attribute[0].g.initializer.append(numpy_helper.from_array(W, "w"))
    tensor = Tensor("w", None, weight_fingerprint(W), "0.then_branch")
    ops = (
        Op("", 0, "", "If", ("y",), inputs=("c",)),
        Op("0.then_branch", 0, "", "MatMul", ("p",), inputs=("x", "w")),
    )
    record = record_of([tensor], ops=ops)
    assert Matched(model, record).candidates == {"w": {"w"}}


def test_weights_of_modules_without_ops_are_idle() -> None:
    """Known by their numbers as those of a part of the model that did not run; vectors, too."""
    bias = noise(12, seed=4)
    file = file_of({"u": W, "v": OTHER.T, "b": bias})
    absent = (recorded(OTHER.T, "b.w", "b.w"), recorded(bias, "b.v", "b.v"))
    op = Op("", 0, "r0", "MatMul", ("r0",), module="a", inputs=("x", "a.w"))
    match = Matched(file, record_of([recorded(W, "a.w", "a.w")], absent, (op,))).match
    assert len(match.idle.values) == 2
    assert (match.idle.matrices, match.idle.example, match.idle.compared) == (1, "b", 2)
    ran = msgspec.structs.replace(op, also=("b",))
    same = Matched(file, record_of([recorded(W, "a.w", "a.w")], absent, (ran,))).match
    assert same.idle.values == frozenset()
