"""Numbers for inputs on which a model computes values that differ from node to node."""

import numpy as np
import numpy.typing as npt

MAX_SWITCH_SIZE = 2
"""Maximum number of elements of an input that counts as a switch, whose values are kept."""

_HIDDEN_SHARE = 8
"""In a mask, one element out of this many is 0."""


def distinct_integers(size: int, limit: int) -> npt.NDArray[np.int64]:
    """Integers from 0 to below a limit in random order, with as few repetitions as possible.

    Args:
        size: Number of integers.
        limit: Every integer is below it.
    """
    random = np.random.default_rng(size)
    return random.permutation(np.arange(size) * max(1, limit // size) % limit)


def mask_flags(size: int) -> npt.NDArray[np.int64]:
    """Ones, with zeros in the last eighth when there are more than two elements.

    As a mask they hide the end of the last row. As indices they exist in nearly every table.
    """
    numbers = np.ones(size, np.int64)
    if size > MAX_SWITCH_SIZE:
        numbers[-max(1, size // _HIDDEN_SHARE) :] = 0
    return numbers
