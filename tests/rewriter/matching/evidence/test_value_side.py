"""What the values of one graph hold."""

import numpy as np
import pytest

from modelexport.hierarchy.graph_paths import MAIN
from tests.helpers.values import value_side

SIDE = value_side(
    "g (float[4] x, int64[4] n) => (float[4] y) { y = Relu (x) }",
    {"x": np.arange(4, dtype=np.float32), "n": np.arange(4)},
)


@pytest.mark.parametrize(("name", "expected"), [("x", True), ("n", False), ("y", False)])
def test_real_numbers_are_told_from_integers_and_from_unknown_values(
    name: str, *, expected: bool
) -> None:
    """Nothing is known about a value without a fingerprint."""
    assert SIDE.has_real_numbers(SIDE.graph.value_of(MAIN, name)) is expected
