"""Names of the metadata keys that carry the hierarchy inside an ONNX file.

`TAG` opens the group of entries that we append to a node. Entries whose key starts
with `OURS` are ours wherever they stand; the shared keys (`SHARED`) are ours only
behind our own `TAG` entry, because torch's exporter writes some of them too.
"""

from collections.abc import Iterable

TAG = "hierarchy_tag"
EVIDENCE = "hierarchy.evidence"
COVERS = "hierarchy.covers"
CALL = "hierarchy.call"
"""Which call of its module a node ran in, from 0; on nodes of modules that are called more than
once, where it is known."""

NAMESPACE = "namespace"
"""Slash path without a leading slash; the form Model Explorer nests by."""

FOLDED = "hierarchy.folded"
"""On a folded model: what the nodes inside functions were called and where they stood, see
`rewriter.folding.flat_snapshot`."""

FUNCTION = "hierarchy.function"
"""On a function that folding made: JSON, see `rewriter.folding.function_notes.FunctionNote`."""

CONSTANT = "hierarchy.constant"
"""On a Constant node inside such a function, if the value has a name in the graph: JSON, see
`rewriter.folding.function_notes.ConstantNote`."""

MODULES = "hierarchy.modules"
"""On the model: the module tree as JSON, see `hierarchy.module_tree.EmbeddedTree`."""

PARAMETERS = "hierarchy.parameters"
"""On the model: JSON object, initializer name to the qualified name of the parameter that it
holds, for those initializers that are not called like their parameter anyway."""

NAMES = "hierarchy.names"
"""On the model: JSON object, the name that a node was given to the one that it had before; null
for a node that had none."""

TORCH_NAME_SCOPES = "pkg.torch.onnx.name_scopes"
TORCH_CLASS_HIERARCHY = "pkg.torch.onnx.class_hierarchy"
TORCH_PREFIX = "pkg.torch."
"""Every key that torch's exporters write, apart from `NAMESPACE`."""

OURS = "hierarchy"
SHARED = frozenset({NAMESPACE, TORCH_NAME_SCOPES, TORCH_CLASS_HIERARCHY})

TAG_ATTRIBUTE = "__hierarchy_tag"
LEGACY_TAG_ATTRIBUTE = "hierarchy_tag"
"""Node attributes with a tag: the first is what `--inject attributes` writes, the second what
older tools wrote. Readers accept both, stripping takes out the first."""


def are_ours(entry_keys: Iterable[str]) -> list[bool]:
    """Tell for each metadata entry of one node whether we wrote it.

    Args:
        entry_keys: The keys of all entries, in their order on the node.
    """
    tagged = False
    result = []
    for key in entry_keys:
        tagged = tagged or key == TAG
        result.append(key.startswith(OURS) or (tagged and key in SHARED))
    return result
