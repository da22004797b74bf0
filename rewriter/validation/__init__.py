"""The checks of an annotated file, one module for each kind of thing that is looked at."""

from modelexport.rewriter.validation.subject import Validation

__all__ = ["Validation"]
