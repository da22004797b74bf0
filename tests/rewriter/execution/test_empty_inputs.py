"""Inputs that were not recorded are fed with arrays of length 0."""

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from modelexport.rewriter.execution.feeds import InputMismatchError, candidate_feeds

TOKENS = np.arange(24, dtype=np.int64).reshape(2, 12)
RECORDED = [("tokens", TOKENS)]
HEADS, HEAD_SIZE = 3, 8


def graph(*inputs: tuple[str, int, list[int | str | None]]):
    values = [helper.make_tensor_value_info(*value) for value in inputs]
    return helper.make_graph([], "g", values, [])


def cache(*shape: int | str | None):
    return graph(
        ("tokens", TensorProto.INT64, ["batch", "length"]), ("past", TensorProto.FLOAT, [*shape])
    )


def test_an_axis_that_recorded_inputs_tell_has_their_extent() -> None:
    """The axis of the batch has the extent of the recorded input; the other is empty."""
    (feeds,) = candidate_feeds(cache("batch", HEADS, "past", HEAD_SIZE), RECORDED)
    assert feeds["tokens"] is TOKENS
    assert feeds["past"].shape == (len(TOKENS), HEADS, 0, HEAD_SIZE)
    assert feeds["past"].dtype == np.float32


def test_an_axis_without_a_name_may_be_empty() -> None:
    """A dynamic axis needs no name to be empty."""
    (feeds,) = candidate_feeds(cache(len(TOKENS), HEADS, None, HEAD_SIZE), RECORDED)
    assert feeds["past"].shape == (len(TOKENS), HEADS, 0, HEAD_SIZE)


def test_recorded_values_tell_the_extents_of_other_axes() -> None:
    """Of several unknown axes one is empty, and the others are as in a recorded value."""
    recorded = [(2, HEADS, 12, HEAD_SIZE), (2, 12, HEADS * HEAD_SIZE), (2, HEADS + 1, 12, 5)]
    file = cache("batch", HEADS, "past", "size")
    shapes = [feeds["past"].shape for feeds in candidate_feeds(file, RECORDED, recorded)]
    assert shapes[0] == (2, HEADS, 0, HEAD_SIZE)
    assert shapes[-1] == (2, HEADS, 0, 0)
    assert 5 not in {extent for shape in shapes for extent in shape}


def test_inputs_share_the_extents_of_axes_of_one_name() -> None:
    """Equal names of axes stand for equal extents, also where only one input shows them."""
    file = graph(
        ("tokens", TensorProto.INT64, ["batch", "length"]),
        ("key", TensorProto.FLOAT, ["batch", HEADS, "past", "size"]),
        ("value", TensorProto.FLOAT, ["batch", "past", "size"]),
    )
    feeds = next(candidate_feeds(file, RECORDED, [(2, HEADS, 12, HEAD_SIZE)]))
    assert feeds["key"].shape == (2, HEADS, 0, HEAD_SIZE)
    assert feeds["value"].shape == (2, 0, HEAD_SIZE)


@pytest.mark.parametrize("shape", [(2, HEADS), ("batch", HEADS)])
def test_an_input_whose_extents_are_all_known_cannot_be_empty(shape: tuple[int | str, ...]) -> None:
    """An input that was not recorded and has to hold numbers is named in the error."""
    with pytest.raises(InputMismatchError, match=r"its input past is float32\[.*no array is left"):
        next(candidate_feeds(cache(*shape), RECORDED))


def test_a_file_with_a_cache_runs_on_an_empty_one() -> None:
    """What is fed this way runs, and gives what the file computes without a past."""
    values = [
        helper.make_tensor_value_info("tokens", TensorProto.FLOAT, ["batch", "length"]),
        helper.make_tensor_value_info("past", TensorProto.FLOAT, ["batch", "past"]),
    ]
    output = helper.make_tensor_value_info("all", TensorProto.FLOAT, ["batch", "total"])
    node = helper.make_node("Concat", ["past", "tokens"], ["all"], axis=1)
    main = helper.make_graph([node], "g", values, [output])
    model = helper.make_model(main, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    (feeds,) = candidate_feeds(main, [("tokens", TOKENS.astype(np.float32))])
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.array_equal(session.run(["all"], feeds)[0], TOKENS)
