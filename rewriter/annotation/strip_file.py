"""Stripping: removing from a file what annotating wrote into it."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec
import onnx

from modelexport.errors import UsageError
from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.graph_paths import walk_nodes
from modelexport.rewriter import folding
from modelexport.rewriter.annotation.model_file import ModelFile
from modelexport.rewriter.container import Changes, Edits
from modelexport.rewriter.folding import UnfoldReport
from modelexport.rewriter.inject.in_memory import apply_edits
from modelexport.rewriter.inject.names import earlier_names
from modelexport.support.gc_pause import gc_paused

_ON_NODES = frozenset({Inject.METADATA, Inject.ATTRIBUTES, Inject.NAMES})
"""What stripping removes by default. Functions are removed only if `only` names them."""


class StripResult(msgspec.Struct, frozen=True):
    """What stripping took out.

    Attributes:
        nodes: Number of nodes that had metadata of ours.
        keys: Number of metadata entries of each key on nodes.
        model_keys: Number of metadata entries of each key on the model.
        attributes: Number of tag attributes.
        names: Number of nodes that got their earlier names back.
        functions: Names of the functions that were inlined.
        calls: Number of nodes that called them.
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


@gc_paused()
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

    Metadata and tag attributes are taken out of the nodes of all graphs and functions, and
    metadata out of the model; nodes that were renamed get their earlier names back. What others
    wrote stays. What annotating overwrote with `replace_keys` cannot be restored. Functions stay
    unless `only` asks for them. The module tree stays as long as something is left that needs it.

    Args:
        source: The annotated file.
        target: Where the result goes; external data is copied along into another folder.
        keep: What stays.
        only: What is taken out; everything else stays.
        patterns: Patterns of the names of the functions to inline, when functions are taken out;
            none for all functions.
        force: Overwrite existing files.

    Examples:
        >>> from pathlib import Path
        >>> from modelexport import strip
        >>> strip("net.annotated.onnx", "back.onnx").keys["hierarchy_tag"]
        10
        >>> Path("back.onnx").read_bytes() == Path("net.onnx").read_bytes()
        True

    Raises:
        FileProblem: A file cannot be read or written as asked.
        UsageError: `keep` and `only` exclude each other; or there are no functions of ours.
    """
    kinds = _kinds_to_strip(frozenset(keep), frozenset(only))
    with ModelFile.open(source) as file:
        if Inject.FUNCTIONS in kinds:
            model, unfolding = _unfolded_copy(file, patterns)
            changes = apply_edits(model, _strip_edits(model, kinds, file.label))
            file.container.write_model(target, model, force=force)
            return _result(changes, unfolding)
        edits = _strip_edits(file.skeleton, kinds, file.label)
        return _result(file.container.write(target, edits, force=force), UnfoldReport([], 0))


def unfold(
    source: str | Path, target: str | Path, patterns: Sequence[str] = (), *, force: bool = False
) -> UnfoldReport:
    """Write a copy of a file in which the functions that folding made are inlined again.

    The tags of their nodes are absolute again, and shapes are inferred. Everything else that
    annotating wrote stays.

    Args:
        source: The folded file.
        target: Where the result goes; external data is copied along into another folder.
        patterns: Patterns of the names of the functions to inline; none for all functions.
        force: Overwrite existing files.

    Examples:
        >>> from modelexport import annotate, unfold
        >>> folded = annotate("net.onnx", "net.trace.json", "folded.onnx", inject=["functions"])
        >>> unfold("folded.onnx", "flat.onnx").calls
        2

    Raises:
        FileProblem: A file cannot be read or written as asked.
        UsageError: No function of ours has such a name.
    """
    with ModelFile.open(source) as file:
        model, report = _unfolded_copy(file, patterns)
        file.container.write_model(target, model, force=force)
    return report


def _unfolded_copy(
    file: ModelFile, patterns: Sequence[str]
) -> tuple[onnx.ModelProto, UnfoldReport]:
    """A copy of a file's model with functions inlined, and what that did."""
    model = onnx.ModelProto()
    model.CopyFrom(file.skeleton)
    report = folding.unfold(model, file.label, patterns)
    if not report.functions:
        names = "with these names " if patterns else ""
        raise UsageError(f"{file.label}: it has no functions {names}that annotate made.")
    return model, report


def _kinds_to_strip(keep: frozenset[Inject], only: frozenset[Inject]) -> frozenset[Inject]:
    if keep and only:
        raise UsageError("--keep and --only exclude each other: name what stays, or what goes.")
    if not only and keep >= _ON_NODES:
        raise UsageError("--keep names all that strip takes out: there is nothing to do.")
    return only or _ON_NODES - keep


def _strip_edits(model: onnx.ModelProto, kinds: frozenset[Inject], label: str) -> Edits:
    """The edits that remove some kinds of injections from a model."""
    earlier = earlier_names(model, label)
    left = _injected(model, renamed=bool(earlier)) - kinds
    kept_keys = {entry.key for entry in model.metadata_props} if left else set()
    if Inject.NAMES in kinds:
        kept_keys.discard(keys.NAMES)
    return Edits(
        names=earlier if Inject.NAMES in kinds else {},
        keep=_ON_NODES - kinds,
        keep_model=frozenset(kept_keys),
    )


def _injected(model: onnx.ModelProto, *, renamed: bool) -> frozenset[Inject]:
    """The kinds of injections that a model has on its nodes."""
    kinds = {Inject.NAMES} if renamed else set()
    for _, node in walk_nodes(model):
        if Inject.METADATA not in kinds and any(
            entry.key == keys.TAG for entry in node.metadata_props
        ):
            kinds.add(Inject.METADATA)
        if Inject.ATTRIBUTES not in kinds and any(
            attribute.name == keys.TAG_ATTRIBUTE for attribute in node.attribute
        ):
            kinds.add(Inject.ATTRIBUTES)
    return frozenset(kinds)


def _result(changes: Changes, unfolding: UnfoldReport) -> StripResult:
    return StripResult(
        changes.nodes_cleared,
        dict(changes.removed),
        dict(changes.removed_from_model),
        changes.attributes,
        changes.names,
        tuple(unfolding.functions),
        unfolding.calls,
        tuple(unfolding.notes),
    )
