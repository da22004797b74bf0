"""Comparing what two runs return."""

import numpy as np


def same_bits(left: object, right: object) -> bool:
    """Whether two outputs are equal, bit for bit; sequences and maps are compared element-wise."""
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        if left.dtype != right.dtype or left.shape != right.shape:
            return False
        if left.dtype == object:
            return bool((left == right).all())
        return left.tobytes() == right.tobytes()
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same_bits, left, right))
    return type(left) is type(right) and bool(left == right)
