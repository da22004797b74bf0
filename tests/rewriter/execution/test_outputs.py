"""Outputs of two runs are compared bit by bit."""

import numpy as np
import pytest

from modelexport.rewriter.execution.outputs import same_bits

ONES = np.ones(3, np.float32)
TEXT = np.array(["a", "b"], object)


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (ONES, ONES.copy(), True),
        (ONES, ONES + np.float32(1e-7), False),
        (ONES, ONES.astype(np.float64), False),
        (ONES, ONES.reshape(3, 1), False),
        (np.float32([np.nan]), np.float32([np.nan]), True),
        (np.float32([0.0]), np.float32([-0.0]), False),
        (TEXT, TEXT.copy(), True),
        (TEXT, np.array(["a", "c"], object), False),
        ([ONES, TEXT], [ONES.copy(), TEXT.copy()], True),
        ([ONES], [ONES, ONES], False),
        ({"a": 1.0}, {"a": 1.0}, True),
        ({"a": 1.0}, {"a": 2.0}, False),
        (ONES, [1.0, 1.0, 1.0], False),
    ],
)
def test_outputs_are_the_same_bit_for_bit(left: object, right: object, same: bool) -> None:
    """Types, shapes, bits and members of sequences and maps all count."""
    assert same_bits(left, right) is same
