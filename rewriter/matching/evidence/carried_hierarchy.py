"""The hierarchy that a file carries, and the module tree that can be made of its tags or paths."""

from collections.abc import Iterable
from itertools import accumulate
from urllib.parse import unquote

import msgspec
import onnx

from modelexport.hierarchy.graph_paths import NodeKey
from modelexport.hierarchy.module_tree import ROOT, Module, ModuleTree
from modelexport.hierarchy.tags import Tagger, TagRules, escape
from modelexport.rewriter.matching.evidence.claims import Claims

OURS = "modelexport's own keys"
TORCH = "torch's metadata"
ATTRIBUTES = "tag attributes"
SCOPED_NAMES = "scoped node names"
NESTED_NAMES = "nested node names"
TREE_NAMES = "names of the module tree"
WEIGHT_NAMES = "initializer names"


class CarriedHierarchy(msgspec.Struct):
    """The hierarchy that a file carries.

    Attributes:
        scheme: In which form: one of the constants of this module.
        tagger: The module tree, as far as the scheme tells it, and how its tags were written,
            where that loses something. Files with equal trees and rules may share one.
        claims: The module of each node that has one.
        parameters: Initializer name to parameter, where the file says so.
        notes: What the user should know about reading it.
        source_lines: Lines of Python (`file:line`) behind each node that has some.
    """

    scheme: str
    tagger: Tagger
    claims: Claims
    parameters: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    source_lines: dict[NodeKey, tuple[str, ...]] = {}

    @property
    def tree(self) -> ModuleTree:
        """The module tree."""
        return self.tagger.tree

    @property
    def modules(self) -> tuple[Module, ...]:
        """The modules of the tree."""
        return tuple(self.tagger.tree)

    @property
    def rules(self) -> TagRules:
        """How its tags were written."""
        return self.tagger.rules


def metadata_of(proto: onnx.NodeProto | onnx.ModelProto) -> dict[str, str]:
    """The metadata entries of a node or model."""
    return {entry.key: entry.value for entry in proto.metadata_props}


def path_of_tag(tag: str) -> str:
    """The module path in a tag of style `path`.

    >>> path_of_tag("/Net/layer.0/fc")
    'layer.0.fc'
    """
    root, *rest = tag.removeprefix("/").split("/")
    number = root.partition(".")[2]  # a leading number is joined to the root's class
    return ".".join(unquote(step) for step in [*filter(None, [number]), *rest])


def tree_of_tags(tags: Iterable[str]) -> ModuleTree:
    """A module tree of tags of style `path`."""
    listed = list(dict.fromkeys(tags))
    root = listed[0].removeprefix("/").split("/")[0].partition(".")[0]
    return tree_of_paths(map(path_of_tag, listed), {ROOT: unquote(root)}, root)


def tree_of_paths(paths: Iterable[str], classes: dict[str, str], root: str) -> ModuleTree:
    """A module tree of some paths and of all above them.

    Args:
        paths: Module paths.
        classes: Qualified name of the class of each module, as far as they are known.
        root: Name for the root when its class is not known.
    """
    every = {ROOT: None}
    for path in paths:
        new: list[str] = []
        above = path
        while above not in every:
            new.append(above)
            above = above.rpartition(".")[0]
        every.update(dict.fromkeys(reversed(new)))
    if not classes.get(ROOT):
        classes = {**classes, ROOT: escape(root).replace(".", "_") or "model"}
    return ModuleTree(_module(path, classes.get(path, "")) for path in every)


def upwards(path: str) -> list[str]:
    """A path and all above it but the root, the uppermost first.

    >>> upwards("layer.0.fc")
    ['layer', 'layer.0', 'layer.0.fc']
    """
    return list(accumulate(path.split("."), "{}.{}".format))


def _module(path: str, qualified_class: str) -> Module:
    python_module, _, class_name = qualified_class.rpartition(".")
    return Module(path, class_name, python_module)
