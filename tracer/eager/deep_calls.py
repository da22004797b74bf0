"""Python's recursion limit for models whose modules are nested deeply."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

_FRAMES_PER_MODULE = 50
"""Maximum number of calls of Python between a module's call and that of a child of it: torch's own,
hooks, wrappers of exporters, and the model's."""


@contextmanager
def deep_calls(model: nn.Module) -> Iterator[None]:
    """Allow as many nested calls as the modules of a model may need while the body runs."""
    depth = max(path.count(".") + 1 for path, _ in model.named_modules())
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(before + depth * _FRAMES_PER_MODULE)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
