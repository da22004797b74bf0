"""Stripping: the very bytes from before `annotate`."""

from pathlib import Path

import msgspec

from rewriter.container import Edits, OnnxContainer


class StripResult(msgspec.Struct, frozen=True):
    """What stripping took out.

    Attributes:
        file: The file that was stripped.
        output: What was written.
        nodes: How many nodes had something of ours.
        entries: How many metadata entries went, those of the model included.
    """

    file: str
    output: str
    nodes: int
    entries: int


def strip(source: str | Path, target: str | Path, *, force: bool = False) -> StripResult:
    """Write a copy of an annotated file without what `annotate` put into it.

    Raises:
        FileProblem: A file cannot be read or written as asked.
    """
    source, target = Path(source), Path(target)
    with OnnxContainer.open(source) as container:
        changes = container.write(target, Edits(strip=True), force=force)
    entries = changes.removed.total() + changes.removed_from_model.total()
    return StripResult(source.name, target.name, changes.nodes_cleared, entries)
