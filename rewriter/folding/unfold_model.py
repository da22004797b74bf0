"""Unfolding: the functions that folding made become nodes of the graph again."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

import msgspec
import onnx

from modelexport.hierarchy.graph_paths import walk_graphs
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.tags import Tagger
from modelexport.rewriter.folding.earlier_names import snapshot_names
from modelexport.rewriter.folding.flat_snapshot import take_snapshot
from modelexport.rewriter.folding.function_notes import folded_functions, is_folded
from modelexport.rewriter.folding.inline_calls import CallInliner, function_key
from modelexport.rewriter.folding.relative_tags import TagRebaser
from modelexport.rewriter.folding.restore_flat_graph import FlatGraphBuilder
from modelexport.rewriter.graph.onnx_errors import ONNX_ERRORS
from modelexport.rewriter.matching import (
    embedded_names,
    embedded_rules,
    embedded_tree,
)
from modelexport.support.error_texts import first_line
from modelexport.support.repeated_fields import replace_messages


class UnfoldReport(msgspec.Struct):
    """What unfolding did.

    Attributes:
        functions: Names of the functions that were removed.
        calls: How many nodes called them.
        notes: What the user should know in addition.
    """

    functions: list[str]
    calls: int
    notes: list[str] = []


def unfold(
    model: onnx.ModelProto, label: str, patterns: Sequence[str] = (), *, infer: bool = True
) -> UnfoldReport:
    """Inline functions that folding made, in place.

    Args:
        model: The model; its weights may be left out.
        label: The path of the file, for error messages.
        patterns: Patterns of the names of the functions to inline (`BertLayer*`); if none are
            given, all are inlined.
        infer: Whether to infer the shapes of the values inside the functions.
    """
    functions = folded_functions(model)
    chosen = [function for function in functions if _is_chosen(function.name, patterns)]
    if not chosen:
        return UnfoldReport([], 0)
    names = [function.name for function in chosen]
    calls = _inline_everywhere(model, chosen, label)
    notes = _infer_shapes(model) if infer else []
    return UnfoldReport(names, calls, notes)


def _is_chosen(name: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def _inline_everywhere(
    model: onnx.ModelProto, functions: Sequence[onnx.FunctionProto], label: str
) -> int:
    """Inline functions wherever they are called, and remove them.

    Returns:
        How many calls there were.
    """
    rebaser = _rebaser(model, label)
    chosen = {function_key(function) for function in functions}
    remaining = [f for f in model.functions if function_key(f) not in chosen]
    calls = sum(
        _inline_in_function(function, functions, rebaser)
        for function in remaining
        if is_folded(function)
    )
    all_chosen = not any(map(is_folded, remaining))
    calls += _inline_in_main_graph(model, functions, rebaser, label, restore=all_chosen)
    removed_domains = {function.domain for function in functions}
    replace_messages(model.functions, remaining)
    _remove_unused_opsets(model, removed_domains)
    return calls


def _inline_in_function(
    function: onnx.FunctionProto, functions: Sequence[onnx.FunctionProto], rebaser: TagRebaser
) -> int:
    """Inline calls in a function that stays; returns how many there were."""
    inliner = CallInliner(functions, rebaser, function)
    parts = [inliner.inline(node) for node in function.node]
    calls = sum(part.calls for part in parts)
    if calls:
        replace_messages(function.node, [node for part in parts for node in part.nodes])
        function.value_info.extend(value for part in parts for value in part.types)
    return calls


def _inline_in_main_graph(
    model: onnx.ModelProto,
    functions: Sequence[onnx.FunctionProto],
    rebaser: TagRebaser,
    label: str,
    *,
    restore: bool,
) -> int:
    """Inline calls in the main graph; returns how many there were.

    Args:
        model: The model.
        functions: The functions to inline.
        rebaser: Makes relative tags absolute.
        label: The path of the file, for error messages.
        restore: Whether to restore names and order of the flat graph.
    """
    snapshot = take_snapshot(model) if restore else None
    taken = [*embedded_names(model, label), *(snapshot_names(snapshot) if snapshot else ())]
    inliner = CallInliner(functions, rebaser, model.graph, taken)
    builder = FlatGraphBuilder(model.graph, snapshot)
    calls = 0
    for node in model.graph.node:
        if inliner.is_call(node):
            inlined = inliner.inline(node)
            calls += inlined.calls
            builder.add_call(node.name, inlined)
        else:
            builder.add_node(node)
    builder.write()
    return calls


def _rebaser(model: onnx.ModelProto, label: str) -> TagRebaser:
    embedded = embedded_tree(model, label)
    if embedded is None:
        return TagRebaser(ModuleTree(()), {})
    tagger = Tagger(ModuleTree(embedded.modules), embedded_rules(embedded, label))
    return TagRebaser(tagger.tree, tagger.paths)


def _remove_unused_opsets(model: onnx.ModelProto, domains: set[str]) -> None:
    """Remove the operator sets of functions that are gone, unless a node still uses them."""
    used = {node.domain for place in walk_graphs(model) for node in place.graph.node}
    unused = domains - used
    remaining = [entry for entry in model.opset_import if entry.domain not in unused]
    replace_messages(model.opset_import, remaining)


def _infer_shapes(model: onnx.ModelProto) -> list[str]:
    """Infer the shapes of values that have none; returns notes for the user."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except ONNX_ERRORS as error:
        return [f"the shapes inside could not be inferred ({first_line(error)})"]
    typed = {value.name for value in model.graph.value_info}
    model.graph.value_info.extend(v for v in inferred.graph.value_info if v.name not in typed)
    return []
