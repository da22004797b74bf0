"""Constants are equal when their values are, in whatever form these are stored."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from modelexport.rewriter.folding.constants import constant_of_initializer


def content(tensor: onnx.TensorProto) -> bytes:
    return constant_of_initializer(tensor, 0).content


def test_equal_values_in_two_forms() -> None:
    """The typed and the raw form of the same numbers."""
    numbers = np.array([1.0, 2.0], np.float32)
    typed = onnx.helper.make_tensor("a", onnx.TensorProto.FLOAT, [2], numbers)
    assert content(typed) == content(numpy_helper.from_array(numbers, "b"))
    assert content(typed) != content(numpy_helper.from_array(-numbers, "b"))


@pytest.mark.parametrize("damage", [{"data_type": 0}, {"dims": [3]}])
def test_damaged_values_equal_their_copies(damage: dict[str, object]) -> None:
    """A type or a shape that the values do not have is no error here."""
    tensor = numpy_helper.from_array(np.ones(2, np.float32))
    damaged = onnx.TensorProto(
        **{"data_type": 1, "dims": [2], "raw_data": tensor.raw_data} | damage
    )
    assert content(damaged) == content(onnx.TensorProto.FromString(damaged.SerializeToString()))
    assert content(damaged) != content(tensor)
