"""Recorded inputs for a file that names, orders and types its inputs otherwise."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from modelexport.rewriter.execution.feeds import InputMismatchError, candidate_feeds

TOKENS = np.arange(6, dtype=np.int64).reshape(2, 3)
MASK = np.ones((2, 3), np.int64)
IMAGE = np.zeros((2, 3, 4), np.float32)
RECORDED = [("tokens", TOKENS), ("mask", MASK), ("image", IMAGE)]


def graph(*inputs: tuple[str, int, list[int | str]]):
    values = [helper.make_tensor_value_info(*value) for value in inputs]
    return helper.make_graph([], "g", values, [])


def test_names_come_first() -> None:
    """Inputs that kept their names get what was recorded under these, in whatever order."""
    file = graph(("mask", TensorProto.INT64, [2, 3]), ("tokens", TensorProto.INT64, [2, 3]))
    (feeds,) = candidate_feeds(file, RECORDED)
    assert feeds["mask"] is MASK
    assert feeds["tokens"] is TOKENS


def test_type_and_shape_tell_where_names_do_not() -> None:
    """A renamed input gets what fits, in the file's own precision; the rest is left."""
    file = graph(("a", TensorProto.FLOAT16, ["batch", 3, 4]))
    (feeds,) = candidate_feeds(file, RECORDED)
    assert feeds["a"].dtype == np.float16
    assert np.array_equal(feeds["a"], IMAGE)


def test_order_may_have_changed_where_nothing_tells() -> None:
    """Two inputs of one kind and unknown names: both orders are tried, the recorded one first."""
    file = graph(("a", TensorProto.INT32, [2, 3]), ("b", TensorProto.INT32, ["n", "m"]))
    feeds = list(candidate_feeds(file, RECORDED))
    pairs = [(each["a"].tolist(), each["b"].tolist()) for each in feeds]
    assert pairs == [(TOKENS.tolist(), MASK.tolist()), (MASK.tolist(), TOKENS.tolist())]


@pytest.mark.parametrize("shape", [[5, 3], [2, 3, 1]])
def test_what_does_not_fit_is_named(shape: list[int | str]) -> None:
    """Other static extents cannot be fed; the message says which input and what was there."""
    with pytest.raises(InputMismatchError, match="its input tokens is int64"):
        list(candidate_feeds(graph(("tokens", TensorProto.INT64, shape)), RECORDED))
