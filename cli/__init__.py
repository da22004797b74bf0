"""The commands. Each calls the public Python function of its name and prints the result."""

import gc

gc.set_threshold(200_000, 30, 30)
# Loading libraries makes many objects that all stay. Searching them for garbage took a tenth of
# the start.

from modelexport.cli.main import app, main  # noqa: E402 - loads the libraries

__all__ = ["app", "main"]
