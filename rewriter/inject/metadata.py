"""Injection *metadata*: entries appended to the nodes' and the model's `metadata_props`."""

import msgspec
import onnx

from modelexport.hierarchy import keys
from modelexport.hierarchy.module_tree import ROOT, EmbeddedTree, ModuleTree
from modelexport.hierarchy.tags import Tagger, TagRules, namespace
from modelexport.rewriter.matching.matcher import Decision

Entries = list[tuple[str, str]]


class MetadataInjection:
    """Writes entries; the tag opens the group, by which stripping knows it.

    Args:
        tagger: Writes module paths as tags.
        torch_keys: Whether to write the keys of torch's own exporter too.
        replace: Whether to write keys that the node has already from somebody else.
    """

    def __init__(self, tagger: Tagger, *, torch_keys: bool = False, replace: bool = False) -> None:
        self._tagger = tagger
        self._torch_keys = torch_keys
        self._replace = replace
        self._calls_known = any(module.calls is not None for module in tagger.tree)
        self._scopes: dict[str, tuple[list[str], list[str]]] = {}

    def node(self, node: onnx.NodeProto, decision: Decision) -> Entries:
        """The entries of one resolved node."""
        assert decision.module is not None
        tag = self._tagger.tag(decision.module)
        entries = [(keys.TAG, tag), (keys.NAMESPACE, namespace(tag))]
        if decision.evidence is not None:
            entries.append((keys.EVIDENCE, decision.evidence))
        covers = self._tagger.covers(decision.covers)
        if len(covers) > 1:
            entries.append((keys.COVERS, msgspec.json.encode(covers).decode()))
        if decision.call is not None and self._called_again(decision.module):
            entries.append((keys.CALL, str(decision.call)))
        if self._torch_keys:
            entries += self._torch(node, decision.module)
        if self._replace or not node.metadata_props:
            return entries
        foreign = foreign_keys(node)
        return [(key, value) for key, value in entries if key not in foreign]

    def _called_again(self, module: str) -> bool:
        tree = self._tagger.tree
        return module not in tree or tree[module].calls != 1

    def _torch(self, node: onnx.NodeProto, module: str) -> Entries:
        """Scopes and classes from the root down; the last of each stands for the op itself."""
        path = self._tagger.resolve(module)
        if path not in self._scopes:
            chain = self._chain(path)
            classes = [_qualified(self._tagger.tree, above) for above in chain]
            self._scopes[path] = (chain, classes)
        scopes, classes = self._scopes[path]
        name = node.name or next(iter(filter(None, node.output)), node.op_type)
        return [
            (keys.TORCH_NAME_SCOPES, repr([*scopes, name])),
            (keys.TORCH_CLASS_HIERARCHY, repr([*classes, node.op_type])),
        ]

    def _chain(self, path: str) -> list[str]:
        """The modules that were running: those called, where the tree knows calls."""
        tree = self._tagger.tree
        if not self._calls_known:
            return [above for above, _ in self._tagger.chain(path)]
        names = path.split(".") if path else []
        every = [".".join(names[:length]) for length in range(len(names) + 1)]
        return [p for p in every if p in {ROOT, path} or (p in tree and tree[p].calls)]


def model_entries(tree: ModuleTree, rules: TagRules, parameters: dict[str, str]) -> Entries:
    """The entries of the model: its module tree, and which weights hold which parameters."""
    embedded = EmbeddedTree(tuple(tree), rules.style, rules.torch_nn, rules.depth)
    entries = [(keys.MODULES, embedded.to_json())]
    renamed = {name: held for name, held in sorted(parameters.items()) if name != held}
    if renamed:
        entries.append((keys.PARAMETERS, msgspec.json.encode(renamed).decode()))
    return entries


def foreign_keys(node: onnx.NodeProto) -> set[str]:
    """Shared keys on a node that somebody else wrote: they stand before our tag, or without it."""
    found: set[str] = set()
    for entry in node.metadata_props:
        if entry.key == keys.TAG:
            break
        if entry.key in keys.SHARED:
            found.add(entry.key)
    return found


def _qualified(tree: ModuleTree, path: str) -> str:
    if path not in tree:
        return ""
    module = tree[path]
    return ".".join(filter(None, [module.python_module, module.class_name]))
