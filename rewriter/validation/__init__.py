"""The checks of an annotated file, one module for each kind of thing that is looked at."""

from modelexport.rewriter.validation.checked_file import Validation

__all__ = ["Validation"]
