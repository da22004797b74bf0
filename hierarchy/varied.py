"""Numbers for inputs that have to tell values apart."""

import numpy as np
import numpy.typing as npt


def distinct(size: int, limit: int) -> npt.NDArray[np.int64]:
    """Whole numbers below a limit, each as seldom as there is room, in no order."""
    random = np.random.default_rng(size)
    return random.permutation(np.arange(size) * max(1, limit // size) % limit)
