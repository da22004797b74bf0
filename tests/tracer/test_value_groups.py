"""Values of one kind are found by their extremes as if each were compared."""

import numpy as np
import pytest
import torch

from modelexport.hierarchy.fingerprints import ValueFingerprint, value_fingerprint
from modelexport.hierarchy.graph_paths import MAIN, NodeKey
from modelexport.tracer.records.value_equality import TOLERANCE, TensorValue, ValueGroup

SIZE = 6


def arrays() -> list[np.ndarray]:
    """Values of many magnitudes, some of them nearly equal, and one without finite numbers."""
    random = np.random.default_rng(3)
    base = [random.standard_normal(SIZE).astype(np.float32) * 10.0**k for k in range(-6, 7)]
    near = [array * np.float32(1 + TOLERANCE * k) for array in base for k in (-2, -0.5, 0.5, 2)]
    return [*base, *near, np.zeros(SIZE, np.float32), np.full(SIZE, -np.inf, np.float32)]


def fingerprint(array: np.ndarray) -> ValueFingerprint:
    result = value_fingerprint(array)
    assert result is not None
    return result


def may_be(value: ValueFingerprint, tensor: torch.Tensor) -> bool:
    """Whether a value has the extremes of a tensor; true of one without finite numbers."""
    numbers = value.statistics().astype(np.float64)
    if not numbers.size:
        return True
    tolerance = TOLERANCE * np.abs(numbers).max() + 1e-30
    low, high = float(tensor.min()), float(tensor.max())
    return abs(numbers.min() - low) <= tolerance and abs(numbers.max() - high) <= tolerance


@pytest.mark.parametrize("place", range(0, len(arrays()) - 1, 7))
def test_candidates_are_those_with_the_extremes(place: int) -> None:
    values = [(NodeKey(MAIN, k), fingerprint(array)) for k, array in enumerate(arrays())]
    tensor = torch.from_numpy(arrays()[place])
    expected = [pair for pair in values if may_be(pair[1], tensor)]
    assert len(expected) >= 2  # itself, and the one without finite numbers
    assert ValueGroup(values).candidates(TensorValue(tensor)) == expected
