"""The file that is checked, and what was found."""

import re
from pathlib import Path

import msgspec
import onnx

from modelexport.hierarchy import keys
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.record import Record
from modelexport.hierarchy.tags import Tagger, TagRules
from modelexport.rewriter.graph.model_graph import ModelGraph
from modelexport.rewriter.matching.evidence import carried as own
from modelexport.rewriter.validation.consistency import Fault, describe

_WORDS = re.compile(r"[\s,:;'\"()\[\]]+|\.(?=\s|$)")
"""What stands between the words of a message, so that a node's name is one of them."""


class Validation(msgspec.Struct):
    """The outcome of the checks on one file.

    Attributes:
        file: Base name.
        checks: The checks that were made.
        faults: What they found; nothing when the file is good.
        nodes, tagged: Counts.
        notes: What was not checked, and why.
        remarks: What was found and is no fault.
    """

    file: str
    checks: list[str]
    faults: list[Fault]
    nodes: int
    tagged: int
    notes: list[str]
    remarks: list[str] = []

    @property
    def good(self) -> bool:
        """Whether no check found anything."""
        return not self.faults


class Subject:
    """A file under check.

    Args:
        path: Where it is.
        model: Its model, functions that folding made being nodes again.
        record: The trace record of its model, if it is there.

    Attributes:
        path, model, record: As given.
        graph: Its nodes, and how they depend on each other.
        tags: The tags of its nodes, by their numbers.
        embedded: The module tree that it carries, if it does.
        rules: By which the tags are written; None when the file does not say.
        result: What was found; the checks add to it.
    """

    def __init__(self, path: Path, model: onnx.ModelProto, record: Record | None) -> None:
        self.path = path
        self.model = model
        self.record = record
        self.graph = ModelGraph(model)
        self.tags = {
            number: entry[keys.TAG]
            for number, node in enumerate(self.graph.nodes)
            if node.metadata_props and keys.TAG in (entry := own.metadata(node))
        }
        self.embedded = own.embedded_tree(model, str(path))
        self.rules: TagRules | None = None
        if self.embedded is not None:
            self.rules = own.embedded_rules(self.embedded, str(path))
        self.result = Validation(path.name, [], [], len(self.graph), len(self.tags), [])
        if not self.tags:
            self._read_elsewhere()

    def _read_elsewhere(self) -> None:
        """Tags that annotating wrote as attributes or as names only."""
        carried = None
        if self.embedded is not None:
            carried = own.read(self.model, self.graph, str(self.path))
        if carried is None:
            return
        tagger = Tagger(ModuleTree(carried.modules), carried.rules)
        for number, key in enumerate(self.graph.keys):
            claim = carried.claims.by_node.get(key)
            if claim is not None:
                self.tags[number] = tagger.tag(claim.module)
        self.rules = carried.rules  # names are paths, whatever the style of tags
        self.result.tagged = len(self.tags)
        self.result.remarks.append(f"the tags are {carried.scheme}, not metadata")

    @property
    def tree(self) -> ModuleTree | None:
        """The modules of the record, else those that the file says; None when neither is there."""
        if self.record is not None:
            return self.record.tree
        return None if self.embedded is None else ModuleTree(self.embedded.modules)

    def blamed(self, message: str) -> int | None:
        """The node that a message names, if it does."""
        words = set(_WORDS.split(message))
        named = [n for n, node in enumerate(self.graph.nodes) if node.name and node.name in words]
        return named[0] if len(named) == 1 else None

    def fault(
        self,
        check: str,
        message: str,
        advice: str,
        number: int | None = None,
        module: str | None = None,
    ) -> None:
        """Write down what a check found, of the node of a number if it is about one."""
        node = None if number is None else describe(self.graph, number)
        if module is None and number is not None:
            module = self.tags.get(number)
        self.result.faults.append(Fault(check, message, advice, node, module))
