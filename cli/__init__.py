"""The commands; each calls the Python API and prints what comes back."""

import gc

gc.set_threshold(200_000, 30, 30)
# Loading libraries makes many objects and no rubbish: looking for it took a tenth of a start.

from modelexport.cli.main import app, main  # noqa: E402 - loads the libraries

__all__ = ["app", "main"]
