"""Checks of the tags: are they well formed, known to the module tree, and true to the graph?"""

from collections.abc import Iterator

import msgspec

from modelexport.hierarchy import keys
from modelexport.hierarchy.tags import Tagger, is_well_formed
from modelexport.rewriter.graph.initializer_parameters import InitializerParameters
from modelexport.rewriter.matching import metadata_of
from modelexport.rewriter.validation.checked_file import CheckedFile
from modelexport.rewriter.validation.consistency import Consistency
from modelexport.rewriter.validation.results import Fault, Findings
from modelexport.support.decode_errors import DECODE_ERRORS

_ADVICE = "annotate the file again"


def check_tags(file: CheckedFile) -> Findings:
    """Check that there are tags, and that each is well formed and of the module tree."""
    remarks = () if file.scheme is None else (f"the tags are {file.scheme}, not metadata",)
    return Findings(("tags",), tuple(_tag_faults(file)), remarks=remarks)


def _tag_faults(file: CheckedFile) -> Iterator[Fault]:
    if not file.tags:
        advice = "annotate the file first"
        if file.file.embedded is not None:
            advice = "its tags are lost: annotate it with --record, or --from an annotated file"
        yield file.fault("tags", "no node carries a tag", advice)
        return
    known_tags, tree = None, file.tree
    if tree is None:
        yield file.fault("tags", "the file carries no module tree", _ADVICE)
    else:
        tagger = Tagger(tree, file.rules)
        known_tags = {tagger.tag(module.path) for module in tree}
    for number, tag in file.tags.items():
        covers = metadata_of(file.graph.nodes[number]).get(keys.COVERS)
        for problem in _problems(tag, covers, known_tags):
            yield file.fault("tags", problem, _ADVICE, number, tag)


def _problems(tag: str, covers: str | None, known_tags: set[str] | None) -> Iterator[str]:
    """What is wrong with the tag of one node, and with the list of tags that the node covers."""
    covered: list[str] = []
    if covers is not None:
        try:
            covered = msgspec.json.decode(covers, type=list[str])
        except DECODE_ERRORS:
            yield f"its {keys.COVERS} is not a JSON list of tags"
    for written in [tag, *covered]:
        if not is_well_formed(written):
            yield f"{written!r} is not a tag"
        elif known_tags is not None and written not in known_tags:
            yield f"the module tree has no module with the tag {written}"


def check_consistency(file: CheckedFile) -> Findings:
    """Check that the tags agree with the weights and with the neighbours of their nodes."""
    carried = file.file.carried
    if carried is None:
        return Findings(("consistency",))
    claimed = dict(carried.parameters)
    tree = carried.tree
    if file.record is not None:
        tensors = file.record.tensors
        claimed |= {t.name: t.parameter for t in tensors if t.parameter is not None}
        tree = file.record.tree
    initializers = InitializerParameters(file.file.model, tree, claimed)
    parameters, total = len(initializers.parameters), len(initializers.shapes)
    remark = f"{parameters} of {total} initializers are known to be parameters"
    consistency = Consistency(file.graph, tree, carried.claims, initializers)
    return Findings(("consistency",), tuple(consistency.faults()), remarks=(remark,))
