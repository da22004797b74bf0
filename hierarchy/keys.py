"""Names of the metadata keys that carry the hierarchy inside an ONNX file.

The entries that we append to a node begin with `TAG`. An entry whose key starts with `OWN_PREFIX`
is always ours. An entry with one of the `SHARED_KEYS` is ours only when it stands after our `TAG`
entry, because torch's exporter writes some of these keys too.
"""

from collections.abc import Iterable

TAG = "hierarchy_tag"
"""On a node: its tag, see `hierarchy.tags`."""

EVIDENCE = "hierarchy.evidence"
"""On a node: the kind of evidence by which its module was found."""

COVERS = "hierarchy.covers"
"""On a node with several origins: JSON list of their tags."""

CALL = "hierarchy.call"
"""On a node whose module is called more than once: in which call it ran, counted from 0."""

SOURCE = "hierarchy.source"
"""On a node that is matched to recorded ops: JSON list of the lines of Python behind them, each as
`file:line`. Written by `--source-lines` only; see `hierarchy.source_lines`."""

NAMESPACE = "namespace"
"""On a node: its tag without the leading slash, the form by which Model Explorer nests nodes."""

FOLDED = "hierarchy.folded"
"""On a folded model: names and positions of the nodes before they became part of functions, see
`rewriter.folding.flat_snapshot`."""

FUNCTION = "hierarchy.function"
"""On a function that folding made: JSON, see `rewriter.folding.function_notes.FunctionNote`."""

CONSTANT = "hierarchy.constant"
"""On a Constant node inside such a function, if the value has a name in the graph: JSON, see
`rewriter.folding.function_notes.ConstantNote`."""

MODULES = "hierarchy.modules"
"""On the model: the module tree as JSON, see `hierarchy.module_tree.EmbeddedTree`."""

PARAMETERS = "hierarchy.parameters"
"""On the model: JSON object from the name of an initializer to the qualified name of its parameter.
Initializers that have the name of their parameter are left out."""

NAMES = "hierarchy.names"
"""On the model: JSON object from the new name of a node to the name that it had before; null for a
node that had none."""

TORCH_NAME_SCOPES = "pkg.torch.onnx.name_scopes"
TORCH_CLASS_HIERARCHY = "pkg.torch.onnx.class_hierarchy"

OWN_PREFIX = "hierarchy"
SHARED_KEYS = frozenset({NAMESPACE, TORCH_NAME_SCOPES, TORCH_CLASS_HIERARCHY})

TAG_ATTRIBUTE = "__hierarchy_tag"
"""The node attribute that `--inject attributes` writes. Readers accept it; `strip` removes it."""

LEGACY_TAG_ATTRIBUTE = "hierarchy_tag"
"""The node attribute that older tools wrote. Readers accept it; `strip` leaves it."""


_MAX_CALL_DIGITS = 9


def read_call_number(text: str) -> int | None:
    """The number in an entry `CALL`; None when it is no number that a call can have."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= _MAX_CALL_DIGITS
    return int(text) if is_number else None


def are_ours(entry_keys: Iterable[str]) -> list[bool]:
    """Whether we wrote each metadata entry of one node.

    Args:
        entry_keys: The keys of all entries, in their order on the node.
    """
    tagged = False
    ours = []
    for key in entry_keys:
        tagged = tagged or key == TAG
        ours.append(key.startswith(OWN_PREFIX) or (tagged and key in SHARED_KEYS))
    return ours
