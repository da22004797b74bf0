"""Where annotating writes the hierarchy."""

from enum import StrEnum


class Inject(StrEnum):
    """Ways of writing the hierarchy into a file; they may be combined."""

    METADATA = "metadata"
    ATTRIBUTES = "attributes"
    NAMES = "names"
    FUNCTIONS = "functions"
