"""The file that is checked: its graph, its tags, and its module tree."""

import re
from collections.abc import Mapping

from modelexport.hierarchy import keys
from modelexport.hierarchy.graph_paths import op_type
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.record import Record
from modelexport.rewriter.annotation.model_file import ModelFile
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching import CarriedHierarchy, embedded_rules, metadata_of
from modelexport.rewriter.validation.results import Fault

_WORD_BREAKS = re.compile(r"[\s,:;'\"()\[\]]+|\.(?=\s|$)")
"""What separates the words of a message, so that a node's name is one word."""


class CheckedFile:
    """An annotated file under check.

    Its graph and tags are read at once: they can be used after the file is closed.

    Args:
        file: The file, opened. Functions that folding made are inlined in its graph.
        record: The trace record of its model; None when there is none.

    Attributes:
        file, record: As given.
        path: Where the file is.
        graph: The indexed view of its graph.
        tags: The tag of each tagged node, by the node's number.
        rules: How the tags were written; None when the file does not say.
        scheme: How the tags are written, when they are not metadata; None when they are.
    """

    def __init__(self, file: ModelFile, record: Record | None) -> None:
        self.file = file
        self.record = record
        self.path = file.path
        self.graph = file.graph
        self.scheme: str | None = None
        self.rules = None if file.embedded is None else embedded_rules(file.embedded, file.label)
        self.tags = _metadata_tags(self.graph)
        carried = _hierarchy_of_own_tree(file)
        if carried is not None and not self.tags:
            self.tags = _carried_tags(self.graph, carried)
            self.rules = carried.rules  # names are paths, whatever the style of tags
            self.scheme = carried.scheme
        elif carried is not None:
            self.tags |= _resolved_tags(self.graph, carried, self.tags)

    @property
    def tree(self) -> ModuleTree | None:
        """The modules of the record, else those that the file carries; None without either."""
        if self.record is not None:
            return self.record.tree
        embedded = self.file.embedded
        return None if embedded is None else ModuleTree(embedded.modules)

    def node_named_in(self, message: str) -> int | None:
        """The one node whose name is a word of a message; None when there are none or several."""
        words = set(_WORD_BREAKS.split(message))
        named = [
            number
            for number, node in enumerate(self.graph.nodes)
            if node.name and node.name in words
        ]
        return named[0] if len(named) == 1 else None

    def fault(
        self,
        check: str,
        message: str,
        advice: str,
        number: int | None = None,
        module: str | None = None,
    ) -> Fault:
        """A fault of this file.

        Args:
            check: The check that found it.
            message: What is wrong.
            advice: What to do about it.
            number: The node that it is about; None when it is about the file.
            module: The module that it is about; by default the tag of the node.
        """
        node = None if number is None else describe_node(self.graph, number)
        if module is None and number is not None:
            module = self.tags.get(number)
        return Fault(check, message, advice, node, module)


def _metadata_tags(graph: ModelGraph) -> dict[int, str]:
    return {
        number: entries[keys.TAG]
        for number, node in enumerate(graph.nodes)
        if node.metadata_props and keys.TAG in (entries := metadata_of(node))
    }


def _hierarchy_of_own_tree(file: ModelFile) -> CarriedHierarchy | None:
    """What the file carries, if its modules are those that annotating wrote.

    Modules that were made up of names are guesses, which no check can call wrong.
    """
    carried, embedded = file.carried, file.embedded
    if carried is None or embedded is None:
        return None
    return carried if carried.tree.has_same_modules(ModuleTree(embedded.modules)) else None


def _resolved_tags(
    graph: ModelGraph, carried: CarriedHierarchy, tags: Mapping[int, str]
) -> dict[int, str]:
    """The absolute tags of nodes whose tags are relative, as far as they are known."""
    relative = {number for number, tag in tags.items() if not tag.startswith("/")}
    if not relative:
        return {}
    carried_tags = _carried_tags(graph, carried)
    return {number: carried_tags[number] for number in relative & carried_tags.keys()}


def _carried_tags(graph: ModelGraph, carried: CarriedHierarchy) -> dict[int, str]:
    """The tags of nodes that annotating wrote as attributes or as names only."""
    tagger = carried.tagger
    claims = ((number, carried.claims.by_node.get(key)) for number, key in enumerate(graph.keys))
    return {number: tagger.tag(claim.module) for number, claim in claims if claim is not None}


def describe_node(graph: ModelGraph, number: int) -> str:
    """A node in words: operator, name or position, and its graph if that is not the main graph."""
    key, node = graph.keys[number], graph.nodes[number]
    name = node.name or f"#{key.position}"
    return f"{op_type(node)} {name}" + (f" in {key.graph}" if key.graph else "")
