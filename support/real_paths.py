"""Where paths lead, links that lead to themselves included."""

import os
from pathlib import Path


def real_path(path: str | Path) -> Path:
    """The absolute path without links.

    `Path.resolve` raises a RuntimeError before Python 3.13 where links lead to each other in a
    circle. Here such a link stays, and whoever opens it gets the operating system's error.
    """
    return Path(os.path.realpath(path))
