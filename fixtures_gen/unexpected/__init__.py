"""Modules that nobody expects: each fixture is one way to build or to call a module.

They are `fixtures_gen.registry.UNEXPECTED`, by name. Tests hold them against eager truth as they
do the fixtures of the zoo.
"""

from fixtures_gen.registry import UNEXPECTED
from fixtures_gen.unexpected import (  # noqa: F401 - they register their fixtures
    calls,
    containers,
    layers,
    names,
    operators,
    parameters,
    signatures,
    types,
    wrappers,
)

__all__ = ["UNEXPECTED"]
