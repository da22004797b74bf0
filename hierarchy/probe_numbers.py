"""Numbers for inputs that have to tell values apart."""

import numpy as np
import numpy.typing as npt

SWITCHES = 2
"""An input of no more elements switches something."""


def distinct(size: int, limit: int) -> npt.NDArray[np.int64]:
    """Whole numbers below a limit, each as seldom as there is room, in no order."""
    random = np.random.default_rng(size)
    return random.permutation(np.arange(size) * max(1, limit // size) % limit)


def flags(size: int) -> npt.NDArray[np.int64]:
    """Ones and, where there is room, zeros at the end.

    As a mask they hide the end of the last row; as an index, nearly every table has them.
    """
    found = np.ones(size, np.int64)
    if size > SWITCHES:
        found[-max(1, size // 8) :] = 0
    return found
