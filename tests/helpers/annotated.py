"""Files with the entries that annotating writes, made by hand."""

from collections.abc import Mapping, Sequence

import msgspec
import onnx

from modelexport.hierarchy import keys
from modelexport.hierarchy.module_tree import EmbeddedTree, Module
from tests.helpers.handmade import parse

CHAIN = """g (float[2] x) => (float[2] c) {
    [one] a = Relu (x)
    [two] b = Tanh (a)
    [three] c = Exp (b)
}"""
MODULES = (Module("", "Net"), Module("a", "Part"), Module("a.b", "Part"))


def with_entries(
    nodes: Sequence[Mapping[str, str]] = (), model: Mapping[str, str] | None = None
) -> onnx.ModelProto:
    """A chain of three nodes with metadata on its nodes and on the model."""
    file = parse(CHAIN)
    for node, entries in zip(file.graph.node, nodes, strict=False):
        for key, value in entries.items():
            node.metadata_props.add(key=key, value=value)
    for key, value in (model or {}).items():
        file.metadata_props.add(key=key, value=value)
    return file


def with_tree(
    nodes: Sequence[Mapping[str, str]] = (),
    *,
    names: Mapping[str, str | None] | None = None,
    parameters: Mapping[str, str] | None = None,
    **rules: object,
) -> onnx.ModelProto:
    """The same with a module tree, and with what else annotating may write on the model."""
    entries = {keys.MODULES: EmbeddedTree(MODULES, **rules).to_json()}
    if names is not None:
        entries[keys.NAMES] = msgspec.json.encode(names).decode()
    if parameters is not None:
        entries[keys.PARAMETERS] = msgspec.json.encode(parameters).decode()
    return with_entries(nodes, entries)
