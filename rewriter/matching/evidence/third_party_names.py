"""What a file says about its hierarchy in the words of others: of torch, of older tools."""

import ast
import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import onnx

from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.graph_paths import MAIN
from modelexport.hierarchy.module_tree import ROOT, ModuleTree
from modelexport.hierarchy.tags import is_well_formed
from modelexport.rewriter.graph.graph_view import ContractedGraph
from modelexport.rewriter.graph.initializer_parameters import initializer_shapes
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.carried_trees import (
    ATTRIBUTES,
    SCOPED_NAMES,
    TORCH,
    WEIGHT_NAMES,
    Carried,
    metadata,
    modules_of,
    path_of_tag,
    tree_of_tags,
)
from modelexport.rewriter.matching.evidence.claims import Claim, Claims

if TYPE_CHECKING:
    from modelexport.hierarchy.graph_paths import NodeKey


def read_torch(model: onnx.ModelProto, graph: ModelGraph) -> Carried | None:
    """The scopes that torch's dynamo exporter writes on nodes."""
    scopes: dict[NodeKey, str] = {}
    classes: dict[str, str] = {}
    for key, node in zip(graph.keys, graph.nodes, strict=True):
        entry = metadata(node)
        names = _python_list(entry.get(keys.TORCH_NAME_SCOPES))[:-1]  # the last is the op
        if not names or names[0] != ROOT:
            continue  # torch writes other things here for ops that it made up itself
        scopes[key] = names[-1]
        kinds = _python_list(entry.get(keys.TORCH_CLASS_HIERARCHY))
        classes.update(zip(names, kinds, strict=False))
    if not scopes:
        return None
    prefix = _wrapper(scopes.values(), _owners(model))
    unwrapped = {key: _unwrap(path, prefix) for key, path in scopes.items()}
    known = {_unwrap(p, prefix): c for p, c in classes.items() if p != ROOT or not prefix}
    modules = modules_of(unwrapped.values(), known, model.graph.name)
    by_node = {key: Claim(path, EvidenceKind.CARRIED) for key, path in unwrapped.items()}
    return Carried(TORCH, modules, Claims(by_node))


def _python_list(text: str | None) -> list[str]:
    """Read a list that torch wrote with `repr`."""
    try:
        found = ast.literal_eval(text or "[]")
    except (SyntaxError, ValueError):
        return []  # somebody else's value under torch's key
    return [str(entry) for entry in found] if isinstance(found, list) else []


def _owners(model: onnx.ModelProto) -> set[str]:
    """Module paths that initializers named like parameters speak of."""
    names = (weight.name for weight in model.graph.initializer)
    return {name.rpartition(".")[0] for name in names if "." in name}


def _wrapper(scopes: Iterable[str], owners: set[str]) -> str:
    """The module around the model that was exported, when the weights' names lack it."""
    paths = {path for path in scopes if path}
    first = {path.split(".", maxsplit=1)[0] for path in paths}
    if len(first) != 1:
        return ""
    prefix = next(iter(first))
    inside = {_unwrap(path, prefix) for path in paths}
    return prefix if len(inside & owners) > len(paths & owners) else ""


def _unwrap(path: str, prefix: str) -> str:
    if prefix and (path == prefix or path.startswith(prefix + ".")):
        return path[len(prefix) + 1 :]
    return path


def read_attributes(graph: ModelGraph) -> Carried | None:
    """Tag attributes, as older tools write them."""
    good = {key: tag for key, tag in tag_attributes(graph).items() if is_well_formed(tag)}
    if not good:
        return None
    by_node = {key: Claim(path_of_tag(tag), EvidenceKind.CARRIED) for key, tag in good.items()}
    return Carried(ATTRIBUTES, tree_of_tags(good.values()), Claims(by_node))


def tag_attributes(graph: ModelGraph) -> "dict[NodeKey, str]":
    """The tag attribute of each node that has one."""
    tags: dict[NodeKey, str] = {}
    for key, node in zip(graph.keys, graph.nodes, strict=True):
        for attribute in node.attribute:
            if attribute.name in {keys.TAG_ATTRIBUTE, keys.LEGACY_TAG_ATTRIBUTE}:
                tags[key] = attribute.s.decode(errors="replace")
    return tags


def read_names(model: onnx.ModelProto, graph: ModelGraph) -> Carried | None:
    """Node names by torch's scheme: `/encoder/layer.0/attention/MatMul`."""
    owners = _owners(model)
    paths: dict[NodeKey, str] = {}
    for key, node in zip(graph.keys, graph.nodes, strict=True):
        steps = node.name.split("/")
        if len(steps) > 1 and not steps[0] and re.fullmatch(rf"{node.op_type}(_\d+)?", steps[-1]):
            paths[key] = ".".join(_undoubled(steps[1:-1], owners))
    if not any(paths.values()):
        return None
    prefix = _wrapper(paths.values(), owners)
    by_node = {k: Claim(_unwrap(path, prefix), EvidenceKind.CARRIED) for k, path in paths.items()}
    modules = modules_of((claim.module for claim in by_node.values()), {}, model.graph.name)
    return Carried(SCOPED_NAMES, modules, Claims(by_node))


def _undoubled(steps: list[str], owners: set[str]) -> list[str]:
    """Steps without the doubling of called containers: `layer/layer.0` is `layer.0`.

    Unless a weight's name says that there is a module of the doubled path.
    """
    found: list[str] = []
    for step in steps:
        if found and step.startswith(found[-1] + "."):
            doubled = ".".join([*found, step])
            if not any(path == doubled or path.startswith(doubled + ".") for path in owners):
                found.pop()
        found.append(step)
    return found


def read_weight_names(model: onnx.ModelProto, graph: ModelGraph) -> Carried | None:
    """Nodes that read weights which are called like parameters: `module.path.weight`."""
    indexed = graph.indexed
    seen = ContractedGraph(
        indexed, {}
    )  # a weight may be transposed, cast or dequantised on its way
    named = {value: indexed.value_names[value][1].rpartition(".") for value in indexed.initializers}
    owners = {v: path for v, (path, _, name) in named.items() if path and name.isidentifier()}
    tied = _tied(model, seen, owners)
    claims = Claims()
    for node, key in enumerate(graph.keys):
        weights = [value for value in seen.inputs(node) if value in owners]
        paths = tuple(sorted({owners[value] for value in weights if value not in tied}))
        if not weights:
            claims.reasons[key] = "it reads no weight whose name tells a module"
        elif not paths:
            claims.reasons[key] = "the weight that it reads may be tied, so its name tells nothing"
        elif not seen.pass_through[node]:
            above = paths[0] if len(paths) == 1 else _common(paths)
            claims.by_node[key] = Claim(
                above, EvidenceKind.CARRIED, paths if len(paths) > 1 else ()
            )
    if not claims.by_node:
        return None
    modules = modules_of(sorted(_owners(model)), {}, model.graph.name)
    return Carried(WEIGHT_NAMES, modules, claims)


def _tied(model: onnx.ModelProto, seen: ContractedGraph, owners: Mapping[int, str]) -> set[int]:
    """Weights whose name may be that of another module: several nodes read them, or a copy.

    An exporter that lays a tied matrix out anew for one of its readers gives that copy a name
    of its own making; it is known by its size.
    """
    found = {value for value in owners if len(seen.consumers(value)) > 1}
    graph = seen.graph
    shapes = initializer_shapes(model)
    unnamed = {
        math.prod(shape)
        for name, shape in shapes.items()
        if len(shape) > 1 and graph.value_of(MAIN, name) not in owners
    }
    for value in owners:
        shape = shapes.get(graph.value_names[value][1], ())
        if len(shape) > 1 and math.prod(shape) in unnamed:
            found.add(value)
    return found


def _common(paths: tuple[str, ...]) -> str:
    return ModuleTree(modules_of(paths, {}, "")).common_ancestor(paths)
