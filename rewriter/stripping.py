"""Stripping: take our metadata out of a file again."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from rewriter.container import Edits, OnnxContainer


class StripResult(msgspec.Struct, frozen=True):
    """What stripping took out.

    Attributes:
        nodes: How many nodes had entries of ours.
        keys: How many entries of each key, on nodes.
        model_keys: And on the model.
    """

    nodes: int
    keys: Mapping[str, int]
    model_keys: Mapping[str, int]


def strip(source: str | Path, target: str | Path, *, force: bool = False) -> StripResult:
    """Write a copy of a file without our metadata: the very bytes from before annotating.

    Entries on nodes of all graphs and functions and on the model go; whatever others wrote
    stays. What annotating with `replace_keys` overwrote does not come back.

    Args:
        source: The annotated file.
        target: Where the result goes; external data is copied along into another folder.
        force: Whether existing files may be overwritten.

    Raises:
        FileProblem: A file cannot be read or written as asked.
    """
    with OnnxContainer.open(source) as container:
        changes = container.write(target, Edits(), force=force)
    return StripResult(
        changes.nodes_cleared, dict(changes.removed), dict(changes.removed_from_model)
    )
