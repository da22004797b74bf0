"""What a file may carry of its hierarchy, and the module tree that can be made of that."""

from collections.abc import Iterable, Iterator
from urllib.parse import unquote

import msgspec
import onnx

from modelexport.hierarchy.module_tree import ROOT, Module
from modelexport.hierarchy.tags import TagRules, escape
from modelexport.rewriter.matching.evidence.claims import Claims

OURS = "modelexport's own keys"
TORCH = "torch's metadata"
ATTRIBUTES = "tag attributes"
SCOPED_NAMES = "scoped node names"
WEIGHT_NAMES = "initializer names"


def metadata(holder: onnx.NodeProto | onnx.ModelProto) -> dict[str, str]:
    """The metadata of a node or model."""
    return {entry.key: entry.value for entry in holder.metadata_props}


class Carried(msgspec.Struct):
    """The hierarchy that a file carries.

    Attributes:
        scheme: Which of the schemes it was read from.
        modules: The module tree, as far as the scheme tells it.
        claims: The module of each node that has one.
        rules: How its tags were written, where that loses something.
        parameters: Initializer name to parameter, where the file says so.
    """

    scheme: str
    modules: tuple[Module, ...]
    claims: Claims
    rules: TagRules = TagRules()
    parameters: dict[str, str] = {}


def path_of_tag(tag: str) -> str:
    """The module path in a tag of style `path`.

    >>> path_of_tag("/Net/layer.0/fc")
    'layer.0.fc'
    """
    root, *rest = tag.removeprefix("/").split("/")
    number = root.partition(".")[2]  # a leading number is joined to the root's class
    return ".".join(unquote(step) for step in [*filter(None, [number]), *rest])


def tree_of_tags(tags: Iterable[str]) -> tuple[Module, ...]:
    """A tree of tags of style `path`."""
    found = list(tags)
    root = found[0].removeprefix("/").split("/")[0].partition(".")[0]
    return modules_of(map(path_of_tag, found), {ROOT: unquote(root)}, root)


def modules_of(paths: Iterable[str], classes: dict[str, str], root: str) -> tuple[Module, ...]:
    """A tree of the given paths and all above them; a class is known by its qualified name."""
    every = {ROOT: None}
    for path in paths:
        every.update(dict.fromkeys(_upwards(path)))
    if not classes.get(ROOT):
        classes = {**classes, ROOT: escape(root).replace(".", "_") or "model"}
    return tuple(_module(path, classes.get(path, "")) for path in every)


def _upwards(path: str) -> Iterator[str]:
    names = path.split(".") if path else []
    for length in range(1, len(names) + 1):
        yield ".".join(names[:length])


def _module(path: str, qualified: str) -> Module:
    where, _, name = qualified.rpartition(".")
    return Module(path, name, where)
