"""Stripping: take what annotating wrote out of a file again."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import onnx

from hierarchy.errors import UsageError
from rewriter import folding
from rewriter.container import Edits, OnnxContainer
from rewriter.folding import UnfoldReport
from rewriter.inject.names import earlier_names


class StripResult(msgspec.Struct, frozen=True):
    """What stripping took out.

    Attributes:
        nodes: How many nodes had entries of ours.
        keys: How many entries of each key, on nodes.
        model_keys: And on the model.
        attributes: How many tag attributes.
        names: How many nodes got their earlier names back.
    """

    nodes: int
    keys: Mapping[str, int]
    model_keys: Mapping[str, int]
    attributes: int = 0
    names: int = 0


def strip(source: str | Path, target: str | Path, *, force: bool = False) -> StripResult:
    """Write a copy of a file without what annotating wrote: the very bytes from before.

    Metadata and tag attributes go from nodes of all graphs and functions, metadata from the
    model, and nodes that were renamed get their names back; whatever others wrote stays. What
    annotating with `replace_keys` overwrote does not come back.

    Args:
        source: The annotated file.
        target: Where the result goes; external data is copied along into another folder.
        force: Whether existing files may be overwritten.

    Raises:
        FileProblem: A file cannot be read or written as asked.
    """
    with OnnxContainer.open(source) as container:
        names = earlier_names(container.skeleton(), str(source))
        changes = container.write(target, Edits(names=names), force=force)
    return StripResult(
        changes.nodes_cleared,
        dict(changes.removed),
        dict(changes.removed_from_model),
        changes.attributes,
        changes.names,
    )


def unfold(
    source: str | Path, target: str | Path, patterns: Sequence[str] = (), *, force: bool = False
) -> UnfoldReport:
    """Write a copy of a file in which functions that folding made are nodes again.

    Their tags are absolute again, and shapes are inferred. What else annotating wrote stays.

    Args:
        source: The folded file.
        target: Where the result goes; external data is copied along into another folder.
        patterns: Of the names of the functions to inline; none for all.
        force: Whether existing files may be overwritten.

    Raises:
        FileProblem: A file cannot be read or written as asked.
        UsageError: No function of ours has such a name.
    """
    with OnnxContainer.open(source) as container:
        model = onnx.ModelProto()
        model.CopyFrom(container.skeleton())
        report = folding.unfold(model, str(source), patterns)
        if not report.functions:
            kind = "of these names " if patterns else ""
            raise UsageError(f"{source}: it has no functions {kind}that annotate made.")
        container.write_model(target, model, force=force)
    return report
