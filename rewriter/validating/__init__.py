"""The checks of an annotated file, one module for each kind of thing that is looked at."""

from rewriter.validating.subject import Validation

__all__ = ["Validation"]
