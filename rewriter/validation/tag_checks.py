"""Whether the tags of a file are good, and agree with its graph."""

from collections.abc import Iterator

import msgspec

from modelexport.hierarchy import keys
from modelexport.hierarchy.module_tree import ModuleTree
from modelexport.hierarchy.tags import Tagger, well_formed
from modelexport.rewriter.graph.initializer_parameters import InitializerParameters
from modelexport.rewriter.matching.evidence import carried as own
from modelexport.rewriter.validation.checked_file import Subject
from modelexport.rewriter.validation.consistency import Consistency

_AGAIN = "annotate the file again"


def check_tags(file: Subject) -> None:
    """Tags are there, well formed and of the module tree."""
    file.result.checks.append("tags")
    if not file.tags:
        file.fault("tags", "no node carries a tag", "annotate the file first")
        return
    known = _known_tags(file)
    for number, tag in file.tags.items():
        entry = own.metadata(file.graph.nodes[number])
        for problem in _problems(tag, entry.get(keys.COVERS), known):
            file.fault("tags", problem, _AGAIN, number, tag)


def _known_tags(file: Subject) -> set[str] | None:
    tree = file.tree
    if tree is None:
        file.fault("tags", "the file carries no module tree", _AGAIN)
        return None
    tagger = Tagger(tree, file.rules)
    return {tagger.tag(module.path) for module in tree}


def check_consistency(file: Subject) -> None:
    """Tags agree with weights and neighbours."""
    file.result.checks.append("consistency")
    carried = own.read(file.model, file.graph, str(file.path))
    if carried is None:
        return
    said = dict(carried.parameters)
    if file.record is not None:
        said |= {t.name: t.parameter for t in file.record.tensors if t.parameter is not None}
    tree = file.record.tree if file.record is not None else ModuleTree(carried.modules)
    initializers = InitializerParameters(file.model, tree, said)
    held, every = len(initializers.parameters), len(initializers.shapes)
    file.result.remarks.append(f"{held} of {every} initializers are known to be parameters")
    found = Consistency(file.graph, tree, carried.claims, initializers)
    file.result.faults.extend(found.faults())


def _problems(tag: str, covers: str | None, known: set[str] | None) -> Iterator[str]:
    """What is wrong with one node's tag and the list of its origins."""
    listed: list[str] = []
    if covers is not None:
        try:
            listed = msgspec.json.decode(covers, type=list[str])
        except msgspec.DecodeError:
            yield f"its {keys.COVERS} is no JSON list of tags"
    for each in [tag, *listed]:
        if not well_formed(each):
            yield f"{each!r} is not a tag"
        elif known is not None and each not in known:
            yield f"the tag {each} is of no module in the module tree"
