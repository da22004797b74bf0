"""Stripping: take what annotating wrote out of a file again."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec
import onnx

from modelexport.errors import UsageError
from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.rewriter import folding
from modelexport.rewriter.container import Changes, Edits, OnnxContainer
from modelexport.rewriter.folding import UnfoldReport
from modelexport.rewriter.inject.in_memory import apply_edits
from modelexport.rewriter.inject.names import earlier_names

_ON_NODES = frozenset({Inject.METADATA, Inject.ATTRIBUTES, Inject.NAMES})


class StripResult(msgspec.Struct, frozen=True):
    """What stripping took out.

    Attributes:
        nodes: How many nodes had entries of ours.
        keys: How many entries of each key, on nodes.
        model_keys: And on the model.
        attributes: How many tag attributes.
        names: How many nodes got their earlier names back.
        functions: Names of the functions that are nodes again.
        calls: How many nodes called them.
        notes: What the user should know beyond that.
    """

    nodes: int = 0
    keys: Mapping[str, int] = {}
    model_keys: Mapping[str, int] = {}
    attributes: int = 0
    names: int = 0
    functions: tuple[str, ...] = ()
    calls: int = 0
    notes: tuple[str, ...] = ()


def strip(
    source: str | Path,
    target: str | Path,
    *,
    keep: Collection[Inject] = (),
    only: Collection[Inject] = (),
    patterns: Sequence[str] = (),
    force: bool = False,
) -> StripResult:
    """Write a copy of a file without what annotating wrote: the very bytes from before.

    Metadata and tag attributes go from nodes of all graphs and functions, metadata from the
    model, and nodes that were renamed get their names back; whatever others wrote stays. What
    annotating with `replace_keys` overwrote does not come back. Functions stay unless they are
    asked for by `only`. The module tree stays as long as something is left that needs it.

    Args:
        source: The annotated file.
        target: Where the result goes; external data is copied along into another folder.
        keep: What stays.
        only: What goes, and nothing else.
        patterns: Of the names of the functions that go, where functions do; none for all.
        force: Whether existing files may be overwritten.

    Examples:
        >>> from pathlib import Path
        >>> from modelexport.rewriter import strip
        >>> strip("net.annotated.onnx", "back.onnx").keys["hierarchy_tag"]
        10
        >>> Path("back.onnx").read_bytes() == Path("net.onnx").read_bytes()
        True

    Raises:
        FileProblem: A file cannot be read or written as asked.
        UsageError: `keep` and `only` exclude each other; or there are no functions of ours.
    """
    gone = _gone(frozenset(keep), frozenset(only))
    where = str(source)
    with OnnxContainer.open(source) as container:
        if Inject.FUNCTIONS in gone:
            model = onnx.ModelProto()
            model.CopyFrom(container.skeleton())
            report = _unfolded(model, where, patterns)
            changes = apply_edits(model, _edits(model, gone, where))
            container.write_model(target, model, force=force)
            return _result(changes, report)
        edits = _edits(container.skeleton(), gone, where)
        return _result(container.write(target, edits, force=force), UnfoldReport([], 0))


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
        report = _unfolded(model, str(source), patterns)
        container.write_model(target, model, force=force)
    return report


def _unfolded(model: onnx.ModelProto, where: str, patterns: Sequence[str]) -> UnfoldReport:
    report = folding.unfold(model, where, patterns)
    if not report.functions:
        kind = "of these names " if patterns else ""
        raise UsageError(f"{where}: it has no functions {kind}that annotate made.")
    return report


def _gone(keep: frozenset[Inject], only: frozenset[Inject]) -> frozenset[Inject]:
    if keep and only:
        raise UsageError("--keep and --only exclude each other: name what stays, or what goes.")
    if not only and keep >= _ON_NODES:
        raise UsageError("--keep names all that strip takes out: there is nothing to do.")
    return only or _ON_NODES - keep


def _edits(model: onnx.ModelProto, gone: frozenset[Inject], where: str) -> Edits:
    earlier = earlier_names(model, where)
    left = _present(model, named=bool(earlier)) - gone
    kept = {entry.key for entry in model.metadata_props} if left else set()
    if Inject.NAMES in gone:
        kept.discard(keys.NAMES)
    return Edits(
        names=earlier if Inject.NAMES in gone else {},
        keep=_ON_NODES - gone,
        keep_model=frozenset(kept),
    )


def _result(changes: Changes, unfolded: UnfoldReport) -> StripResult:
    return StripResult(
        changes.nodes_cleared,
        dict(changes.removed),
        dict(changes.removed_from_model),
        changes.attributes,
        changes.names,
        tuple(unfolded.functions),
        unfolded.calls,
        tuple(unfolded.notes),
    )


def _present(model: onnx.ModelProto, *, named: bool) -> frozenset[Inject]:
    """What of ours there is on nodes."""
    found = {Inject.NAMES} if named else set()
    for _, node in walk_nodes(model):
        if any(entry.key == keys.TAG for entry in node.metadata_props):
            found.add(Inject.METADATA)
        if any(attribute.name == keys.TAG_ATTRIBUTE for attribute in node.attribute):
            found.add(Inject.ATTRIBUTES)
    return frozenset(found)
