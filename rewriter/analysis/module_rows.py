"""The rows of an analysis: the figures of each module, with those of the modules below it."""

from collections.abc import Mapping

from modelexport.hierarchy.module_tree import ROOT, Module
from modelexport.hierarchy.tags import Tagger
from modelexport.rewriter.analysis.results import ModuleRow
from modelexport.rewriter.analysis.totals import Totals


def module_rows(own: Mapping[str, Totals], tagger: Tagger, *, with_nodes: bool) -> list[ModuleRow]:
    """A row for each module that has nodes or weights, and one for the root.

    Args:
        own: The figures of each module itself by tag, without those of the modules below it.
        tagger: Writes the tags.
        with_nodes: Whether modules without nodes are left out, too.

    Returns:
        The rows in the model's order, each module followed by those below it.
    """
    root = tagger.tag(ROOT)
    modules = _first_modules(tagger)
    sums = _sums_along_tree(own, root)
    model_parameters = sums[root].parameters
    rows = []
    for tag in _parents_first(modules, root):
        totals = sums.get(tag, Totals())
        left_out = not totals.op_types if with_nodes else totals.empty
        if tag == root or not left_out:
            depth = len(_tags_upwards(tag, root)) - 1
            own_totals = own.get(tag, Totals())
            rows.append(_row(tag, modules[tag], depth, own_totals, totals, model_parameters))
    return rows


def _tags_upwards(tag: str, root: str) -> list[str]:
    """A tag and the tags above it, the root's last."""
    tags = [tag]
    while tag != root:
        tag = tag.rpartition("/")[0] or root
        tags.append(tag)
    return tags


def _first_modules(tagger: Tagger) -> dict[str, Module]:
    """The first module of each tag; aliases have none."""
    modules: dict[str, Module] = {}
    for module in tagger.tree:
        if module.alias_of is None:
            modules.setdefault(tagger.tag(module.path), module)
    return modules


def _sums_along_tree(own: Mapping[str, Totals], root: str) -> dict[str, Totals]:
    """The figures of each tag, with those of all tags below it."""
    sums = {root: Totals()}
    for tag, totals in own.items():
        for above in _tags_upwards(tag, root):
            sums.setdefault(above, Totals()).add(totals)
    return sums


def _row(
    tag: str, module: Module, depth: int, own: Totals, totals: Totals, model_parameters: int
) -> ModuleRow:
    return ModuleRow(
        tag=tag,
        path=module.path,
        class_name=module.class_name,
        depth=depth,
        own_nodes=own.nodes,
        nodes=totals.nodes,
        op_types=dict(totals.op_types.most_common()),
        own_parameters=own.parameters,
        parameters=totals.parameters,
        share=totals.parameters / model_parameters if model_parameters else 0.0,
        evidence=dict(totals.evidence.most_common()),
        macs=totals.macs,
        unknown_macs=totals.unknown_macs,
        weight_bytes=totals.weight_bytes,
        activation_bytes=totals.activation_bytes,
        unknown_activations=totals.unknown_activations,
    )


def _parents_first(modules: Mapping[str, Module], root: str) -> list[str]:
    """The tags in an order in which each is followed by all that is below it."""
    children: dict[str, list[str]] = {}
    for tag in modules:
        if tag != root:
            above = _tags_upwards(tag, root)[1:]
            parent = next((candidate for candidate in above if candidate in modules), root)
            children.setdefault(parent, []).append(tag)
    ordered: list[str] = []
    waiting = [root]
    while waiting:
        tag = waiting.pop()
        ordered.append(tag)
        waiting.extend(reversed(children.get(tag, [])))
    return ordered
