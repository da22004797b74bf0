"""The choices that users are given, each in one place."""

from enum import StrEnum


class Inject(StrEnum):
    """Ways of writing the hierarchy into a file; they may be combined."""

    METADATA = "metadata"
    ATTRIBUTES = "attributes"
    NAMES = "names"
    FUNCTIONS = "functions"


class EvidenceKind(StrEnum):
    """The kinds of evidence, the strongest first."""

    IDENTITY = "identity"
    CARRIED = "carried"
    NAMES = "names"
    WEIGHTS = "weights"
    VALUES = "values"
    STRUCTURE = "structure"
    PROPAGATION = "propagation"


class FoldMode(StrEnum):
    """Which calls of modules become functions, where no patterns are given."""

    REPEATED = "repeated"
    """The outermost calls that occur more than once with the same structure."""
    NESTED = "nested"
    """These, and the repeated calls inside them."""
    ALL = "all"
    """Every call."""
