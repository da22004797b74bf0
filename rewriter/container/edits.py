"""What is to be changed in a file, and what writing has changed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modelexport.hierarchy import keys
from modelexport.hierarchy.choices import Inject
from modelexport.hierarchy.graph_paths import NodeKey

Entries = Sequence[tuple[str, str]]
"""Metadata entries: key and value of each."""


@dataclass(frozen=True)
class Edits:
    """The changes to write into a copy of a file.

    Attributes:
        nodes: Entries to append to the `metadata_props` of nodes.
        model: Entries to append to the `metadata_props` of the model.
        attributes: Tags to append to nodes as our tag attribute.
        names: New names of nodes; None removes the name field.
        strip: Whether all our entries and attributes are first removed from the whole file.
        keep: Which of ours stay on nodes even so: `metadata`, `attributes`.
        keep_model: Keys of our entries that stay on the model even so.
        replace: Whether new entries on a node replace the entries of others that have the
            same key; or the keys for which they do.
    """

    nodes: Mapping[NodeKey, Entries] = field(default_factory=dict)
    model: Entries = ()
    attributes: Mapping[NodeKey, str] = field(default_factory=dict)
    names: Mapping[NodeKey, str | None] = field(default_factory=dict)
    strip: bool = True
    keep: frozenset[Inject] = frozenset()
    keep_model: frozenset[str] = frozenset()
    replace: bool | frozenset[str] = False

    def removes(self, kind: Inject) -> bool:
        """Whether what was injected in this way is removed from nodes."""
        return self.strip and kind not in self.keep

    def removes_from_model(self, key: str) -> bool:
        """Whether an entry of the model is removed."""
        return self.strip and key.startswith(keys.OWN_PREFIX) and key not in self.keep_model

    def removed_entries(self, entry_keys: Sequence[str], new: Entries = ()) -> list[bool]:
        """Tell for each metadata entry of one node whether it is removed.

        `hierarchy.keys` has the rule that says which entries are ours.

        Args:
            entry_keys: The keys of all entries, in their order on the node.
            new: Entries that will be appended to the node.
        """
        replaced = self.replace
        if replaced is True:
            replaced = frozenset(key for key, _ in new)
        elif not replaced or not new:
            replaced = frozenset()
        removes_ours = self.removes(Inject.METADATA)
        return [
            removes_ours if ours else key in replaced
            for key, ours in zip(entry_keys, keys.are_ours(entry_keys), strict=True)
        ]


@dataclass
class Changes:
    """What writing has changed.

    Attributes:
        removed: How many entries of each key were removed from nodes.
        removed_from_model: How many entries of each key were removed from the model.
        nodes_cleared: How many nodes lost at least one entry.
        attributes: How many of our tag attributes were removed.
        names: How many nodes got another name.
    """

    removed: Counter[str] = field(default_factory=Counter)
    removed_from_model: Counter[str] = field(default_factory=Counter)
    nodes_cleared: int = 0
    attributes: int = 0
    names: int = 0
