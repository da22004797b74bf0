"""Injection *metadata*: entries appended to the nodes' and the model's `metadata_props`."""

import msgspec
import onnx

from modelexport.hierarchy import keys
from modelexport.hierarchy.module_tree import ROOT, EmbeddedTree, ModuleTree
from modelexport.hierarchy.source_lines import encode_lines
from modelexport.hierarchy.tags import Tagger, TagRules, namespace
from modelexport.rewriter.matching import Decision

Entries = list[tuple[str, str]]


class MetadataInjection:
    """Makes the metadata entries of nodes. The tag is always the first: stripping relies on it.

    Args:
        tagger: Turns module paths into tags.
        torch_keys: Whether to write the keys of torch's own exporter too.
        source_lines: Whether to write the lines of Python behind each node.
        replace: Whether to write keys that the node already has from another tool.
    """

    def __init__(
        self,
        tagger: Tagger,
        *,
        torch_keys: bool = False,
        source_lines: bool = False,
        replace: bool = False,
    ) -> None:
        self._tagger = tagger
        self._source_lines = source_lines
        self._torch_keys = torch_keys
        self._replace = replace
        self._counts_calls = any(module.calls is not None for module in tagger.tree)
        self._scopes: dict[str, tuple[list[str], list[str]]] = {}

    def node(self, node: onnx.NodeProto, decision: Decision) -> Entries:
        """The entries of one resolved node."""
        assert decision.module is not None
        tag = self._tagger.tag(decision.module)
        entries = [(keys.TAG, tag), (keys.NAMESPACE, namespace(tag))]
        if decision.evidence is not None:
            entries.append((keys.EVIDENCE, decision.evidence))
        covers = self._tagger.tags(decision.covers)
        if len(covers) > 1:
            entries.append((keys.COVERS, msgspec.json.encode(covers).decode()))
        if decision.call is not None and self._may_run_again(decision.module):
            entries.append((keys.CALL, str(decision.call)))
        if self._source_lines and decision.source_lines:
            entries.append((keys.SOURCE, encode_lines(decision.source_lines)))
        if self._torch_keys:
            entries += self._torch_entries(node, decision.module)
        if self._replace or not node.metadata_props:
            return entries
        foreign = foreign_keys(node)
        return [(key, value) for key, value in entries if key not in foreign]

    def _may_run_again(self, module: str) -> bool:
        tree = self._tagger.tree
        return module not in tree or tree[module].calls != 1

    def _torch_entries(self, node: onnx.NodeProto, module: str) -> Entries:
        """Scopes and classes from the root down; the last one of each is the operator itself."""
        path = self._tagger.resolve(module)
        if path not in self._scopes:
            running = self._running_modules(path)
            classes = [_qualified_class(self._tagger.tree, module) for module in running]
            self._scopes[path] = (running, classes)
        scopes, classes = self._scopes[path]
        name = node.name or next(iter(filter(None, node.output)), node.op_type)
        return [
            (keys.TORCH_NAME_SCOPES, repr([*scopes, name])),
            (keys.TORCH_CLASS_HIERARCHY, repr([*classes, node.op_type])),
        ]

    def _running_modules(self, path: str) -> list[str]:
        """Paths of the modules that ran when a node of this module ran, from the root down.

        If the tree counts calls, modules that were never called are left out.
        """
        tree = self._tagger.tree
        if not self._counts_calls:
            return [ancestor for ancestor, _ in self._tagger.ancestry(path)]
        names = path.split(".") if path else []
        prefixes = [".".join(names[:length]) for length in range(len(names) + 1)]
        return [p for p in prefixes if p in {ROOT, path} or (p in tree and tree[p].calls)]


def model_entries(tree: ModuleTree, rules: TagRules, parameters: dict[str, str]) -> Entries:
    """The entries of the model: its module tree, and the parameters that initializers hold.

    Args:
        tree: The modules.
        rules: How tags are written.
        parameters: Initializer name to the parameter that it holds.
    """
    embedded = EmbeddedTree(tuple(tree), rules.style, rules.torch_nn, rules.depth)
    entries = [(keys.MODULES, embedded.to_json())]
    differing = {
        name: parameter for name, parameter in sorted(parameters.items()) if name != parameter
    }
    if differing:
        entries.append((keys.PARAMETERS, msgspec.json.encode(differing).decode()))
    return entries


def foreign_keys(node: onnx.NodeProto) -> set[str]:
    """The shared keys on a node that another tool wrote."""
    entry_keys = [entry.key for entry in node.metadata_props]
    pairs = zip(entry_keys, keys.are_ours(entry_keys), strict=True)
    return {key for key, ours in pairs if key in keys.SHARED_KEYS and not ours}


def _qualified_class(tree: ModuleTree, path: str) -> str:
    if path not in tree:
        return ""
    module = tree[path]
    return ".".join(filter(None, [module.python_module, module.class_name]))
