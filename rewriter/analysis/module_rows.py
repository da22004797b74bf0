"""The rows of an analysis: the figures of each module, with those of the modules below it."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from itertools import takewhile

from modelexport.hierarchy.module_tree import Module
from modelexport.hierarchy.tags import Tagger
from modelexport.rewriter.analysis.module_nesting import ModuleNesting
from modelexport.rewriter.analysis.results import ModuleRow
from modelexport.rewriter.analysis.totals import Totals, most_frequent_first


def module_rows(
    own: Mapping[str, Totals],
    parameters: Mapping[str, int],
    tagger: Tagger,
    *,
    with_nodes: bool,
) -> list[ModuleRow]:
    """A row for each module that has nodes or weights, itself or below it; and for the root.

    Args:
        own: The figures of each module itself by tag, without those of the modules below it.
        parameters: Elements of the parameters of each module by tag, with those below it.
        tagger: Writes the tags.
        with_nodes: Whether modules whose work no node does are left out, too.

    Returns:
        The rows in the model's order, each module followed by those below it.
    """
    nesting = ModuleNesting(tagger.tree, tagger.resolve, tagger.tag)
    tags = list(parents_first(nesting))
    sums = _sums_along_tree(own, nesting, tags)
    depths: dict[str, int] = {}
    nothing, size_of_model = Totals(), parameters.get(nesting.root, 0) or 1
    rows = []
    for tag in tags:
        parent = nesting.parents.get(tag)
        depths[tag] = 0
        if parent is not None:
            joined = tag in nesting.joined and not _works(own.get(parent))
            depths[tag] = depths[parent] + (not joined)
        totals, size = sums[tag], parameters.get(tag, 0)
        left_out = not totals.has_work if with_nodes else totals.empty and not size
        if parent is None or not left_out:
            module, share = nesting.modules[tag], size / size_of_model
            figures = own.get(tag) or nothing, totals, size, share
            rows.append(_row(tag, parent, module, depths[tag], *figures))
    return rows


def _works(own: Totals | None) -> bool:
    """Whether a module has nodes or weights of its own."""
    return own is not None and not own.empty


def _sums_along_tree(
    own: Mapping[str, Totals], nesting: ModuleNesting, tags: Sequence[str]
) -> dict[str, Totals]:
    """The figures of each tag, with those of all tags below it.

    Where there are none below it, these are its own. Each other tag is added to the one around it
    once, when all below it have been added to it. Its operators are entered before, in the order in
    which the tags below it have them.

    Args:
        own: The figures of each tag without those of the tags below it.
        nesting: Which tag is inside which.
        tags: All tags, each before those below it.
    """
    sums: dict[str, Totals] = {}
    parents, root = nesting.parents, nesting.root
    leaves = own.keys() - {root, *parents.values()}
    for tag in (*tags, *own):
        if tag in sums:
            continue
        for above in (tag,) if parents.get(tag) in sums else _new_upwards(tag, sums, nesting):
            sums[above] = own[above] if above in leaves else Totals()
    for tag, totals in own.items():
        place = parents.get(tag, root) if tag in leaves else tag
        first = sums[place]
        if not totals.op_types.keys() <= first.op_types.keys():
            _enter_upwards(totals.op_types, place, lambda above: sums[above].op_types, nesting)
        if not totals.evidence.keys() <= first.evidence.keys():
            _enter_upwards(totals.evidence, place, lambda above: sums[above].evidence, nesting)
    for tag in reversed(sums):
        totals = sums[tag]
        if tag in own and tag not in leaves:
            totals.add(own[tag])
        if tag != root:
            sums[parents.get(tag, root)].add(totals)
    return sums


def _new_upwards(tag: str, sums: Container[str], nesting: ModuleNesting) -> Sequence[str]:
    """A tag and those around it that are not among the sums, the outermost first."""
    new = [*takewhile(lambda above: above not in sums, nesting.upwards(tag))]
    return new[::-1]  # a tree may lack a module around another


def _enter_upwards(
    names: Iterable[str],
    tag: str,
    counts_of: Callable[[str], dict[str, int]],
    nesting: ModuleNesting,
) -> None:
    """Give names a place in the counts of a tag and of those around it.

    A tag that has a name already ends the way up: all tags around it have the name, too.
    """
    for name in names:
        for above in nesting.upwards(tag):
            counts = counts_of(above)
            if name in counts:
                break
            counts[name] = 0


def _row(
    tag: str,
    parent: str | None,
    module: Module,
    depth: int,
    own: Totals,
    totals: Totals,
    parameters: int,
    share: float,
) -> ModuleRow:
    nodes = totals.nodes
    return ModuleRow(
        tag=tag,
        path=module.path,
        class_name=module.class_name,
        depth=depth,
        own_nodes=nodes if own is totals else own.nodes,
        nodes=nodes,
        op_types=most_frequent_first(totals.op_types),
        own_parameters=own.parameters,
        parameters=parameters,
        share=share,
        evidence=most_frequent_first(totals.evidence),
        macs=totals.macs,
        unknown_macs=totals.unknown_macs,
        weight_bytes=totals.weight_bytes,
        activation_bytes=totals.activation_bytes,
        unknown_activations=totals.unknown_activations,
        parent=parent,
    )


def parents_first(nesting: ModuleNesting) -> Iterator[str]:
    """The tags in an order in which each is followed by all that is below it."""
    children: dict[str, list[str]] = {}
    for tag, parent in nesting.parents.items():
        children.setdefault(parent, []).append(tag)
    pending = [nesting.root]
    while pending:
        tag = pending.pop()
        yield tag
        pending.extend(reversed(children.get(tag, [])))


def subtree_parameters(sizes: Mapping[str, Mapping[str, int]], tagger: Tagger) -> dict[str, int]:
    """Elements of the parameters of each module and of those below it, by tag.

    A parameter counts once in each module, however many modules below it hold it. A module that
    stands in several places counts in each of them.

    Args:
        sizes: Elements of the own parameters of each module path; keys are equal for parameters
            that are the same tensor.
        tagger: Writes the tags.
    """
    parameters: dict[str, dict[str, int]] = {}
    above: dict[str, str] = {}
    for path, own in sizes.items():
        for tag in {tagger.tag(p) for p in _upwards(path, above)} if own else ():
            parameters.setdefault(tag, {}).update(own)
    return {tag: sum(by_name.values()) for tag, by_name in parameters.items()}


def _upwards(path: str, above: dict[str, str]) -> Iterator[str]:
    """A path and those above it, the root last.

    Args:
        path: The path.
        above: The path above each path that was met before. So a path is made once, and it is
            hashed once, however many paths below it there are.
    """
    yield path
    while path:
        shorter = above.get(path)
        if shorter is None:
            shorter = above[path] = path.rpartition(".")[0]
        path = shorter
        yield path
