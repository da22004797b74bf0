"""The commands; each calls the Python API and prints what comes back."""

from cli.main import app, main

__all__ = ["app", "main"]
