"""The hierarchy that other tools write into a file: torch's exporters, and older tools."""

import ast
from collections.abc import Iterable

import onnx

from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import EvidenceKind
from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.hierarchy.module_tree import ROOT
from modelexport.hierarchy.tags import Tagger, is_well_formed
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence.carried_hierarchy import (
    ATTRIBUTES,
    TORCH,
    CarriedHierarchy,
    metadata_of,
    path_of_tag,
    tree_of_paths,
    tree_of_tags,
)
from modelexport.rewriter.matching.evidence.claims import Claim, Claims


def read_torch_metadata(model: onnx.ModelProto, graph: ModelGraph) -> CarriedHierarchy | None:
    """The scopes that torch's dynamo exporter writes on nodes."""
    scopes: dict[NodeKey, str] = {}
    classes: dict[str, str] = {}
    for key, node in zip(graph.keys, graph.nodes, strict=True):
        entry = metadata_of(node)
        names = _python_list(entry.get(keys.TORCH_NAME_SCOPES))[:-1]  # the last is the op
        if not names or names[0] != ROOT:
            continue  # torch writes other things here for ops that it made up itself
        scopes[key] = names[-1]
        class_names = _python_list(entry.get(keys.TORCH_CLASS_HIERARCHY))
        classes.update(zip(names, class_names, strict=False))
    if not scopes:
        return None
    prefix = wrapper_of(scopes.values(), weight_owners(model))
    paths = {key: without_prefix(path, prefix) for key, path in scopes.items()}
    class_of = {
        without_prefix(path, prefix): name
        for path, name in classes.items()
        if path != ROOT or not prefix
    }
    tree = tree_of_paths(paths.values(), class_of, model.graph.name)
    return CarriedHierarchy(TORCH, Tagger(tree), carried_claims(paths))


def _python_list(text: str | None) -> list[str]:
    """Read a list that torch wrote with `repr`; empty for anything else under torch's key."""
    try:
        value = ast.literal_eval(text or "[]")
    except (SyntaxError, ValueError):
        return []
    return [str(entry) for entry in value] if isinstance(value, list) else []


def read_tag_attributes(graph: ModelGraph) -> CarriedHierarchy | None:
    """Tag attributes, as older tools write them."""
    tags = {key: tag for key, tag in tag_attributes(graph).items() if is_well_formed(tag)}
    if not tags:
        return None
    paths = {key: path_of_tag(tag) for key, tag in tags.items()}
    return CarriedHierarchy(ATTRIBUTES, Tagger(tree_of_tags(tags.values())), carried_claims(paths))


def tag_attributes(graph: ModelGraph) -> dict[NodeKey, str]:
    """The tag attribute of each node that has one."""
    tags: dict[NodeKey, str] = {}
    for key, node in zip(graph.keys, graph.nodes, strict=True):
        for attribute in node.attribute:
            if attribute.name in {keys.TAG_ATTRIBUTE, keys.LEGACY_TAG_ATTRIBUTE}:
                tags[key] = attribute.s.decode(errors="replace")
    return tags


def weight_owners(model: onnx.ModelProto) -> set[str]:
    """Module paths in the names of initializers that are called like parameters."""
    names = (weight.name for weight in model.graph.initializer)
    return {name.rpartition(".")[0] for name in names if "." in name}


def wrapper_of(scopes: Iterable[str], owners: set[str]) -> str:
    """The first step of all scopes, if the names of weights lack it; else "".

    It is a module that an exporter wraps around the model.
    """
    paths = {path for path in scopes if path}
    first_steps = {path.partition(".")[0] for path in paths}
    if len(first_steps) != 1:
        return ""
    prefix = next(iter(first_steps))
    inside = {without_prefix(path, prefix) for path in paths}
    return prefix if len(inside & owners) > len(paths & owners) else ""


def without_prefix(path: str, prefix: str) -> str:
    """A path without the step that `wrapper_of` gave."""
    if prefix and (path == prefix or path.startswith(prefix + ".")):
        return path[len(prefix) + 1 :]
    return path


def carried_claims(paths: dict[NodeKey, str]) -> Claims:
    """A claim for each node, of kind *carried*."""
    return Claims({key: Claim(path, EvidenceKind.CARRIED) for key, path in paths.items()})
