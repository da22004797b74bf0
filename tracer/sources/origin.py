"""Where a model came from, for its record."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Origin:
    """Where a model came from, for its record.

    Attributes:
        name: Hub id, base name of a folder, or `module:factory`; never a path.
        task: The task by which the architecture was chosen; None when the user gave no task.
    """

    name: str
    task: str | None = None
